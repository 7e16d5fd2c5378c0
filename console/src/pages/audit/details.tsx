import { Button, Code, Stack, Table, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useTranslation } from "react-i18next";
import { Facts } from "../../components/facts.tsx";
import { When } from "../../components/when.tsx";
import type { AuditEntry } from "./entry.ts";
import { useActionWords } from "./words.ts";

/** Opens what exactly was changed. */
export function Details({ entry }: { entry: AuditEntry }) {
  const { t } = useTranslation();
  const wordsOf = useActionWords();
  const changes = changesOf(entry);
  if (changes.length === 0) return null;
  const open = () =>
    modals.open({
      title: wordsOf(entry.action),
      size: "xl",
      children: <Changes entry={entry} changes={changes} />,
    });
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      onClick={open}
      aria-label={`${t("common.details")}: ${wordsOf(entry.action)} ${entry.id}`}
    >
      {t("common.details")}
    </Button>
  );
}

type Change = { field: string; before: unknown; after: unknown };

function Changes({ entry, changes }: { entry: AuditEntry; changes: Change[] }) {
  const { t } = useTranslation();
  return (
    <Stack>
      <Facts
        items={[
          { label: t("audit.who"), value: entry.actor },
          { label: t("audit.address"), value: entry.ipAddress || null },
          { label: t("audit.when"), value: <When at={entry.at} /> },
        ]}
      />
      <Table.ScrollContainer minWidth={420}>
        <Table verticalSpacing="xs" aria-label={t("common.details")}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t("audit.field")}</Table.Th>
              <Table.Th>{t("audit.before")}</Table.Th>
              <Table.Th>{t("audit.after")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {changes.map(({ field, before, after }) => (
              <Table.Tr key={field}>
                <Table.Td>{field}</Table.Td>
                <Table.Td>
                  <Value of={before} />
                </Table.Td>
                <Table.Td>
                  <Value of={after} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Stack>
  );
}

function Value({ of }: { of: unknown }) {
  if (of === undefined) return <Text c="dimmed">–</Text>;
  return <Code className="long-name">{typeof of === "string" ? of : JSON.stringify(of)}</Code>;
}

/** The fields that are not the same before and after. */
function changesOf({ before, after }: AuditEntry): Change[] {
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .map((field) => ({ field, before: old[field], after: now[field] }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after));
}

const fieldsOf = (state: unknown): Record<string, unknown> =>
  typeof state === "object" && state !== null ? (state as Record<string, unknown>) : {};
