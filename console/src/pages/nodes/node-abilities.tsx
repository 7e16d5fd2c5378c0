import { Badge, Group, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Facts } from "../../components/facts.tsx";
import type { NodeDetail } from "./node.ts";

type Capabilities = NonNullable<NodeDetail["capabilities"]>;

/** What the agent has found on its machine: what it can read, where it can write, and with which programs. */
export function NodeAbilities({ capabilities }: { capabilities: Capabilities }) {
  const { t, i18n } = useTranslation();
  const { sources, storages, engines, commands, hooks, missingPrograms } = capabilities;
  const nameOf = (source: string) =>
    i18n.exists(`sources.${source}`) ? t(`sources.${source}` as never) : source;
  return (
    <Facts
      items={[
        { label: t("nodes.canRead"), value: <Names names={sources.map(nameOf)} /> },
        { label: t("nodes.canWrite"), value: <Names names={storages} /> },
        {
          label: t("nodes.programs"),
          value: <Names names={Object.entries(engines).map(([name, version]) => `${name} ${version}`)} />,
        },
        { label: t("nodes.ownCommands"), value: commands.length > 0 ? <Names names={commands} /> : null },
        { label: t("nodes.ownHooks"), value: hooks.length > 0 ? <Names names={hooks} /> : null },
        {
          label: t("nodes.missingPrograms"),
          value: missingPrograms.length > 0 ? <Missing programs={missingPrograms} /> : null,
        },
      ]}
    />
  );
}

/** Programs that the agent's own configuration names and that it cannot start. */
function Missing({ programs }: { programs: Capabilities["missingPrograms"] }) {
  return (
    <Stack gap={2}>
      {programs.map(({ at, program, problem }) => (
        <Text key={at} size="sm" style={{ overflowWrap: "anywhere" }}>
          {at}: {program} ({problem})
        </Text>
      ))}
    </Stack>
  );
}

function Names({ names }: { names: string[] }) {
  const { t } = useTranslation();
  if (names.length === 0) return <Text size="sm">{t("common.none")}</Text>;
  return (
    <Group gap={6}>
      {names.map((name) => (
        <Badge key={name} variant="default" fw={400}>
          {name}
        </Badge>
      ))}
    </Group>
  );
}
