import { Button, Group, Loader, Stack, Tabs, Text, Title } from "@mantine/core";
import { IconBox, IconFileCode, IconServerCog, IconTerminal } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { CodeBlock } from "../../components/code-block.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { When } from "../../components/when.tsx";
import { containerCommand, npxCommand } from "./join-commands.ts";
import { Joined } from "./joined.tsx";
import { TokenForms } from "./token-forms.tsx";
import { useJoined } from "./use-joined.ts";

type Props = {
  node: { id: number; name: string };
  /** Where it is known: it is shown only when it is made. */
  token?: string | undefined;
  /** Above the commands; gone when they are. */
  title?: string;
};

/** How a machine becomes this node, and whether it has: that shows by itself. */
export function JoinPanel({ node, token, title }: Props) {
  const { t } = useTranslation();
  const joined = useJoined(node.id);
  const code = useChange(adminApi.createNodeCode);
  const make = () => code.mutate({ params: { id: String(node.id) } });
  const hasAsked = useRef(false);
  useEffect(() => {
    if (hasAsked.current) return;
    hasAsked.current = true;
    make();
  });
  if (joined) return <Joined node={joined} />;
  if (code.isError) return <ErrorNotice error={code.error} retry={make} />;
  if (!code.data) return <Waiting />;
  const joining = { master: location.origin, name: node.name, code: code.data.code };
  return (
    <Stack>
      {title ? (
        <Title order={2} size="h4" className="long-name">
          {title}
        </Title>
      ) : null}
      <Tabs defaultValue="npx" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="npx" leftSection={<IconTerminal size={16} aria-hidden />}>
            npx
          </Tabs.Tab>
          <Tabs.Tab value="systemd" leftSection={<IconServerCog size={16} aria-hidden />}>
            systemd
          </Tabs.Tab>
          <Tabs.Tab value="container" leftSection={<IconBox size={16} aria-hidden />}>
            {t("nodes.container")}
          </Tabs.Tab>
          <Tabs.Tab value="files" leftSection={<IconFileCode size={16} aria-hidden />}>
            {t("nodes.yamlAndEnvironment")}
          </Tabs.Tab>
        </Tabs.List>
        <Form value="npx" hint={t("nodes.npxHint")}>
          <CodeBlock text={npxCommand(joining)} label={t("nodes.command")} />
        </Form>
        <Form value="systemd" hint={t("nodes.systemdHint")}>
          <CodeBlock text={code.data.command} label={t("nodes.command")} />
        </Form>
        <Form value="container" hint={t("nodes.containerHint")}>
          <CodeBlock text={containerCommand(joining)} label={t("nodes.command")} />
        </Form>
        <Form value="files" hint={t("nodes.filesHint")}>
          <TokenForms nodeId={node.id} token={token} />
        </Form>
      </Tabs>
      <Group justify="space-between" gap="sm">
        <Group gap="xs">
          <Loader size="xs" aria-hidden />
          <Text size="sm" role="status">
            {t("nodes.waitingFor", { name: node.name })}
          </Text>
        </Group>
        <Group gap="xs">
          <Text size="xs" c="dimmed">
            {t("nodes.codeEnds")} <When at={code.data.expiresAt} />
          </Text>
          <Button size="compact-xs" variant="subtle" onClick={make} loading={code.isPending}>
            {t("nodes.newCode")}
          </Button>
        </Group>
      </Group>
    </Stack>
  );
}

function Form({ value, hint, children }: { value: string; hint: string; children: ReactNode }) {
  return (
    <Tabs.Panel value={value} pt="md">
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          {hint}
        </Text>
        {children}
      </Stack>
    </Tabs.Panel>
  );
}
