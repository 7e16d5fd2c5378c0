import { Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";
import { Bytes } from "../../components/bytes.tsx";
import { Duration } from "../../components/duration.tsx";
import { Facts } from "../../components/facts.tsx";
import { Section } from "../../components/section.tsx";
import { When } from "../../components/when.tsx";
import { conflictWords } from "./conflict-words.ts";

type Restore = z.output<typeof adminApi.getRestore.reply>;
const SHOWN_NAMES = 50;

/** What a restore was asked to do, and what it did. */
export function RestoreFacts({ restore }: { restore: Restore }) {
  const { t, i18n } = useTranslation();
  const { destination, conflict, identityFile, entries, bytes, startedAt, finishedAt } = restore;
  const renames = Object.entries(restore.renameDatabases);
  return (
    <Section title={t("common.details")}>
      <Facts
        items={[
          { label: t("restores.where"), value: destination ?? t("restores.originalPlace") },
          { label: t("restores.what"), value: <What names={restore.selectedPaths ?? restore.databases} /> },
          {
            label: t("wizard.rename"),
            value: renames.length === 0 ? null : renames.map(([from, to]) => `${from} → ${to}`).join(", "),
          },
          { label: t("restores.conflict"), value: conflictWords(t)[conflict] },
          { label: t("restores.identityFile"), value: identityFile },
          {
            label: t("record.entries"),
            value: entries === null ? null : new Intl.NumberFormat(i18n.language).format(entries),
          },
          { label: t("restores.restored"), value: bytes === null ? null : <Bytes of={bytes} /> },
          { label: t("record.started"), value: startedAt === null ? null : <When at={startedAt} /> },
          { label: t("record.ended"), value: finishedAt === null ? null : <When at={finishedAt} /> },
          {
            label: t("records.took"),
            value:
              startedAt === null || finishedAt === null ? null : <Duration ms={finishedAt - startedAt} />,
          },
        ]}
      />
    </Section>
  );
}

/** Paths, or databases by their names in the backup. */
function What({ names }: { names: string[] | null }) {
  const { t } = useTranslation();
  if (names === null) return t("restores.everything");
  return (
    <Stack gap={2}>
      {names.slice(0, SHOWN_NAMES).map((name) => (
        <Text key={name} size="xs" ff="monospace">
          {name}
        </Text>
      ))}
      {names.length > SHOWN_NAMES ? (
        <Text size="xs" c="dimmed">
          {t("restores.fateCount", { count: names.length })}
        </Text>
      ) : null}
    </Stack>
  );
}
