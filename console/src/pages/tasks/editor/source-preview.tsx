import { Button, Group, Paper, Stack, Text } from "@mantine/core";
import { IconEye } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import { adminApi } from "../../../api/admin-api.ts";
import { useChange } from "../../../api/queries.ts";
import { Bytes } from "../../../components/bytes.tsx";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { secretsOf, sourceOf } from "./body.ts";
import { useTaskForm } from "./form.ts";

type Preview = z.output<typeof adminApi.previewSource.reply>;

/** What a backup would read now, asked of the node. */
export function SourcePreview({ taskId }: { taskId: number | null }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const ask = useChange(adminApi.previewSource);
  const { place, nodeId } = form.values;
  const canAsk = place === "node" && nodeId !== null;
  const look = () => {
    const secrets = secretsOf(form.values);
    const body = {
      source: sourceOf(form.values),
      secrets,
      taskId: Object.keys(secrets).length > 0 ? null : taskId,
    };
    ask.mutate({ params: { id: String(nodeId) }, body });
  };
  if (form.values.sourceType === "command") return null;
  return (
    <Stack gap="xs">
      <Group gap="sm">
        <Button
          variant="default"
          size="xs"
          leftSection={<IconEye size={16} aria-hidden />}
          disabled={!canAsk}
          loading={ask.isPending}
          onClick={look}
        >
          {t("taskEditor.preview")}
        </Button>
        <Text size="xs" c="dimmed">
          {canAsk ? t("taskEditor.previewHint") : t("taskEditor.noNodeToAsk")}
        </Text>
      </Group>
      <ErrorNotice error={ask.error} />
      {ask.data ? <Found preview={ask.data} /> : null}
    </Stack>
  );
}

function Found({ preview }: { preview: Preview }) {
  const { t } = useTranslation();
  const { entries, bytes, complete, first, excluded, unreadable } = preview;
  return (
    <Paper withBorder p="sm" aria-live="polite">
      <Stack gap="xs">
        <Text size="sm" fw={500}>
          {complete
            ? t("taskEditor.previewFound", { count: entries })
            : t("taskEditor.previewAtLeast", { count: entries })}
          {bytes === null ? null : (
            <>
              {" · "}
              <Bytes of={bytes} />
            </>
          )}
        </Text>
        <Few
          title={t("taskEditor.previewFirst")}
          items={first.map(({ path, sizeBytes }) => ({
            path,
            note: sizeBytes ? <Bytes of={sizeBytes} /> : null,
          }))}
        />
        <Few
          title={t("taskEditor.previewExcluded", { count: excluded.count })}
          items={excluded.first.map((path) => ({ path }))}
        />
        <Few
          title={t("taskEditor.previewUnreadable", { count: unreadable.count })}
          items={unreadable.first.map(({ path, reason }) => ({ path, note: reason }))}
        />
      </Stack>
    </Paper>
  );
}

const SHOWN = 8;

function Few({ title, items }: { title: string; items: { path: string; note?: React.ReactNode }[] }) {
  if (items.length === 0) return null;
  return (
    <div>
      <Text size="xs" c="dimmed">
        {title}
      </Text>
      <ul className="few-paths">
        {items.slice(0, SHOWN).map(({ path, note }) => (
          <li key={path}>
            <code>{path}</code> {note ? <span>{note}</span> : null}
          </li>
        ))}
        {items.length > SHOWN ? <li>…</li> : null}
      </ul>
    </div>
  );
}
