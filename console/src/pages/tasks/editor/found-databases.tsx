import { Button, Stack, TagsInput, Text } from "@mantine/core";
import { IconDatabaseSearch } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../../api/admin-api.ts";
import type { CallInput } from "../../../api/call.ts";
import { useChange } from "../../../api/queries.ts";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { secretsOf, sourceOf } from "./body.ts";
import { DatabaseChoice } from "./database-choice.tsx";
import { useTaskForm } from "./form.ts";

type Kind = "postgresql" | "mysql" | "mongodb" | "saphana";
type Server = NonNullable<CallInput<typeof adminApi.discoverDatabases>["body"]>["server"];

/** Which databases: typed, or ticked among those that the node's agent finds on the server. */
export function FoundDatabases({ kind, taskId }: { kind: Kind; taskId: number | null }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const ask = useChange(adminApi.discoverDatabases);
  const { place, nodeId } = form.values;
  const canAsk = place === "node" && nodeId !== null;
  const chosen = form.values.sources[kind].databases;
  const found = ask.data?.databases ?? [];
  const look = () =>
    ask.mutate({
      params: { id: String(nodeId) },
      body: {
        server: sourceOf(form.values) as Server,
        secrets: secretsOf(form.values),
        taskId: Object.keys(secretsOf(form.values)).length > 0 ? null : taskId,
      },
    });
  return (
    <Stack gap="xs">
      <TagsInput
        label={t("taskEditor.databases")}
        description={t("taskEditor.databasesHint")}
        placeholder={chosen.length === 0 ? t("taskEditor.allDatabases") : ""}
        acceptValueOnBlur
        data={found.map(({ name }) => name)}
        {...form.getInputProps(`sources.${kind}.databases`)}
      />
      <Button
        variant="light"
        size="compact-sm"
        w="fit-content"
        leftSection={<IconDatabaseSearch size={16} aria-hidden />}
        disabled={!canAsk}
        loading={ask.isPending}
        onClick={look}
      >
        {t("taskEditor.findDatabases")}
      </Button>
      {canAsk ? null : (
        <Text size="xs" c="dimmed">
          {t("taskEditor.noNodeToAsk")}
        </Text>
      )}
      <ErrorNotice error={ask.error} />
      {ask.isSuccess && found.length === 0 ? <Text size="sm">{t("taskEditor.noDatabases")}</Text> : null}
      {found.length > 0 ? (
        <DatabaseChoice
          label={t("taskEditor.foundDatabases")}
          found={found}
          chosen={chosen}
          onChange={(names) => form.setFieldValue(`sources.${kind}.databases`, names)}
        />
      ) : null}
    </Stack>
  );
}
