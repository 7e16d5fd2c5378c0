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
const SHOWN_PATHS = 50;

/** What a restore was asked to do, and what it did. */
export function RestoreFacts({ restore }: { restore: Restore }) {
  const { t, i18n } = useTranslation();
  const { destination, selectedPaths, conflict, identityFile, entries, bytes, startedAt, finishedAt } =
    restore;
  return (
    <Section title={t("common.details")}>
      <Facts
        items={[
          { label: t("restores.where"), value: destination ?? t("restores.originalPlace") },
          { label: t("restores.what"), value: <What paths={selectedPaths} /> },
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

function What({ paths }: { paths: string[] | null }) {
  const { t } = useTranslation();
  if (paths === null) return t("restores.everything");
  return (
    <Stack gap={2}>
      {paths.slice(0, SHOWN_PATHS).map((path) => (
        <Text key={path} size="xs" ff="monospace">
          {path}
        </Text>
      ))}
      {paths.length > SHOWN_PATHS ? (
        <Text size="xs" c="dimmed">
          {t("restores.paths", { count: paths.length })}
        </Text>
      ) : null}
    </Stack>
  );
}
