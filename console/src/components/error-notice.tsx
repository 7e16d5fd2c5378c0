import { Alert, Button, Group, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/call.ts";

type Props = { error: ApiError | null | undefined; retry?: () => void };

/** What went wrong, in the master's own words; nothing when nothing did. */
export function ErrorNotice({ error, retry }: Props) {
  const { t } = useTranslation();
  if (!error) return null;
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} role="alert">
      <Group justify="space-between">
        <Text size="sm" className="long-name">
          {error.code === "UNREACHABLE" ? t("common.unreachable") : error.message}
        </Text>
        {retry ? (
          <Button size="xs" variant="default" onClick={retry}>
            {t("common.retry")}
          </Button>
        ) : null}
      </Group>
    </Alert>
  );
}
