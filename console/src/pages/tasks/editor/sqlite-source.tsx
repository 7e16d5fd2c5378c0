import { Alert, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconDatabaseSearch } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../../api/admin-api.ts";
import { useChange } from "../../../api/queries.ts";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { DatabaseChoice } from "./database-choice.tsx";
import { useTaskForm } from "./form.ts";
import { PathList } from "./path-list.tsx";

/** Database files that are copied whole and consistent while others write to them. */
export function SqliteSource() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { place, nodeId } = form.values;
  return (
    <>
      <PathList
        label={t("taskEditor.sqlitePaths")}
        only="files"
        {...form.getInputProps("sources.sqlite.paths")}
      />
      {place === "node" && nodeId !== null ? (
        // What was found on one node says nothing of another.
        <FoundFiles key={nodeId} nodeId={nodeId} />
      ) : null}
    </>
  );
}

/** The databases that a node's agent finds in its files, to be ticked. */
function FoundFiles({ nodeId }: { nodeId: number }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const ask = useChange(adminApi.discoverDatabases);
  const [folder, setFolder] = useState("/");
  const found = ask.data?.databases ?? [];
  const look = () =>
    ask.mutate({
      params: { id: String(nodeId) },
      body: { server: { type: "sqlite", folder: folder.trim() } },
    });
  return (
    <Stack gap="xs">
      <Group align="end" gap="xs">
        <TextInput
          label={t("taskEditor.sqliteFolder")}
          spellCheck={false}
          autoComplete="off"
          flex={1}
          miw={200}
          value={folder}
          onChange={(event) => setFolder(event.currentTarget.value)}
        />
        <Button
          variant="light"
          leftSection={<IconDatabaseSearch size={16} aria-hidden />}
          loading={ask.isPending}
          onClick={look}
        >
          {t("taskEditor.findSqlite")}
        </Button>
      </Group>
      <ErrorNotice error={ask.error} />
      {ask.data && !ask.data.complete ? <Alert color="yellow">{t("taskEditor.sqliteNotAll")}</Alert> : null}
      {ask.isSuccess && found.length === 0 ? <Text size="sm">{t("taskEditor.noSqlite")}</Text> : null}
      {found.length > 0 ? (
        <DatabaseChoice
          label={t("taskEditor.foundSqlite")}
          found={found}
          chosen={form.values.sources.sqlite.paths}
          onChange={(paths) => form.setFieldValue("sources.sqlite.paths", paths)}
        />
      ) : null}
    </Stack>
  );
}
