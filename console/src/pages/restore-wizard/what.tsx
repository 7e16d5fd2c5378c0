import { ActionIcon, Group, Paper, Radio, Stack, TagsInput, Text } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { ArchiveBrowser } from "../../components/archive-browser.tsx";
import { isDatabaseServer, type StepProps } from "./plan.ts";

/** Everything, or only some of it. */
export function What({ record, plan, change, missing }: StepProps) {
  const { t } = useTranslation();
  const isServer = isDatabaseServer(record);
  const canChoose = record.sourceType === "file" || isServer;
  return (
    <Stack>
      <Radio.Group
        aria-label={t("wizard.stepWhat")}
        value={plan.scope}
        onChange={(scope) => change({ scope: scope as typeof plan.scope })}
      >
        <Stack gap="xs">
          <Radio value="whole" label={t("wizard.whole")} />
          {canChoose ? (
            <Radio value="chosen" label={isServer ? t("wizard.chosenDatabases") : t("wizard.chosen")} />
          ) : null}
        </Stack>
      </Radio.Group>
      {plan.scope === "chosen" && isServer ? (
        <TagsInput
          label={t("wizard.databaseNames")}
          description={t("wizard.databaseNamesHint")}
          data={record.source && "databases" in record.source ? record.source.databases : []}
          value={plan.databases}
          onChange={(databases) => change({ databases })}
          error={missing.what ? t("wizard.databasesNone") : null}
        />
      ) : null}
      {plan.scope === "chosen" && !isServer ? (
        <>
          <ArchiveBrowser
            record={record}
            selection={{ paths: plan.paths, onChange: (paths) => change({ paths }) }}
          />
          {missing.what ? (
            <Text size="sm" c="var(--mantine-color-error)" role="alert">
              {missing.what}
            </Text>
          ) : null}
          <Chosen
            paths={plan.paths}
            onTakeBack={(path) => change({ paths: plan.paths.filter((one) => one !== path) })}
          />
        </>
      ) : null}
    </Stack>
  );
}

function Chosen({ paths, onTakeBack }: { paths: string[]; onTakeBack(path: string): void }) {
  const { t } = useTranslation();
  if (paths.length === 0) return null;
  return (
    <Paper withBorder p="sm">
      <Text size="sm" fw={600} mb={4}>
        {`${t("wizard.chosenList")} (${paths.length})`}
      </Text>
      <Stack gap={2} mah={200} style={{ overflowY: "auto" }}>
        {paths.map((path) => (
          <Group key={path} gap="xs" wrap="nowrap" justify="space-between">
            <Text size="xs" ff="monospace" className="long-name">
              {path}
            </Text>
            <ActionIcon
              size="sm"
              variant="subtle"
              color="gray"
              aria-label={t("wizard.remove", { path })}
              onClick={() => onTakeBack(path)}
            >
              <IconX size={14} aria-hidden />
            </ActionIcon>
          </Group>
        ))}
      </Stack>
    </Paper>
  );
}
