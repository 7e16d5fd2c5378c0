import { Button, Group, Stack, Text } from "@mantine/core";
import { IconRotateClockwise } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { ArchiveBrowser } from "../../components/archive-browser.tsx";
import type { RecordDetail } from "./record-detail.ts";

/** What is in a backup of files; what is chosen there can be restored. */
export function RecordContents({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [paths, setPaths] = useState<string[]>([]);
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Text size="sm" c="dimmed" flex="1 1 300px">
          {t("record.contentsLead")}
        </Text>
        {paths.length === 0 ? null : (
          <Button
            leftSection={<IconRotateClockwise size={16} aria-hidden />}
            onClick={() => navigate(`/records/${record.id}/restore`, { state: { paths } })}
          >
            {t("record.restoreChosen", { count: paths.length })}
          </Button>
        )}
      </Group>
      <ArchiveBrowser record={record} selection={{ paths, onChange: setPaths }} />
    </Stack>
  );
}
