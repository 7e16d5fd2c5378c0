import { Accordion, Group, Text } from "@mantine/core";
import { type Icon, IconBan, IconFilePlus, IconLock, IconReplace } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";
import { Bytes } from "../../components/bytes.tsx";
import { Section } from "../../components/section.tsx";

type Outcome = NonNullable<z.output<typeof adminApi.getRestore.reply>["outcome"]>;
type Fate = keyof Outcome;

const looks: [fate: Fate, icon: Icon, color: string][] = [
  ["refuse", IconBan, "red"],
  ["overwrite", IconReplace, "orange"],
  ["create", IconFilePlus, "green"],
  ["keep", IconLock, "gray"],
];

/** What a restore would do to what is there: what may hurt comes first. */
export function DryRunOutcome({ outcome }: { outcome: Outcome }) {
  const { t } = useTranslation();
  const first = looks.find(([fate]) => outcome[fate].entries > 0)?.[0] ?? null;
  return (
    <Section title={t("restores.outcome")}>
      {outcome.refuse.entries > 0 ? (
        <Text size="sm" c="red">
          {t("restores.refusedText")}
        </Text>
      ) : null}
      <Accordion variant="contained" defaultValue={first}>
        {looks.map(([fate, Shape, color]) => (
          <Accordion.Item key={fate} value={fate}>
            <Accordion.Control
              disabled={outcome[fate].entries === 0}
              icon={<Shape size={18} aria-hidden color={`var(--mantine-color-${color}-7)`} />}
            >
              <Group justify="space-between" pe="sm">
                <Text size="sm" fw={600}>
                  {t(`restores.${fate}`)}
                </Text>
                <Text size="sm" c="dimmed">
                  {t("restores.fateCount", { count: outcome[fate].entries })}
                  {" · "}
                  <Bytes of={outcome[fate].bytes} />
                </Text>
              </Group>
            </Accordion.Control>
            <Accordion.Panel>
              <Paths of={outcome[fate]} />
            </Accordion.Panel>
          </Accordion.Item>
        ))}
      </Accordion>
    </Section>
  );
}

function Paths({ of: { paths, entries } }: { of: Outcome[Fate] }) {
  const { t } = useTranslation();
  return (
    <>
      {paths.map(({ path, reason }) => (
        <Text key={path} size="xs" ff="monospace" className="long-name">
          {path}
          {reason ? (
            <Text span size="xs" c="dimmed">
              {` · ${reason}`}
            </Text>
          ) : null}
        </Text>
      ))}
      {entries > paths.length ? (
        <Text size="xs" c="dimmed" mt="xs">
          {t("restores.firstShown")}
        </Text>
      ) : null}
    </>
  );
}
