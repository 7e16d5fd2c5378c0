import { Alert, Anchor, Button, Code, Group, Stack, Text } from "@mantine/core";
import { IconDownload, IconKey } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { z } from "zod";
import type { adminApi } from "../../../../protocol/admin-api.ts";
import { CodeBlock } from "../../components/code-block.tsx";
import { CopyText } from "../../components/copy-text.tsx";
import { Rows } from "../../components/rows.tsx";
import { yamlFile, yamlRun } from "./join-commands.ts";

type Made = z.output<typeof adminApi.createNodes.reply>["items"];

/** The nodes of a batch with their tokens, this once, and what is done with them. */
export function MadeNodes({ made }: { made: Made }) {
  const { t } = useTranslation();
  const columns = [
    {
      label: t("common.name"),
      cell: ({ node }: Made[number]) => (
        <Anchor component={Link} to={`/nodes/${node.id}`} className="long-name">
          {node.name}
        </Anchor>
      ),
    },
    {
      label: t("nodes.token"),
      cell: ({ node, token }: Made[number]) => (
        <Group gap="xs" wrap="nowrap" justify="flex-end">
          <Code>{token.slice(0, 8)}…</Code>
          <CopyText value={token} label={node.name} />
        </Group>
      ),
    },
  ];
  return (
    <Stack>
      <Alert
        color="orange"
        icon={<IconKey aria-hidden />}
        title={t("nodes.madeTitle", { count: made.length })}
      >
        {t("nodes.tokensOnce")}
      </Alert>
      <Button
        w="fit-content"
        leftSection={<IconDownload size={16} aria-hidden />}
        onClick={() => download("nodes.csv", csvOf(made))}
      >
        {t("nodes.downloadTokens")}
      </Button>
      <Rows caption={t("nodes.names")} columns={columns} items={made} keyOf={({ node }) => node.id} />
      <Text size="sm">{t("nodes.madeNext")}</Text>
      <CodeBlock text={yamlFile(location.origin, "…")} label={t("nodes.yaml")} />
      <CodeBlock text={yamlRun(location.origin)} label={t("nodes.command")} />
      <Button component={Link} to="/nodes" variant="default" w="fit-content">
        {t("nodes.toNodes")}
      </Button>
    </Stack>
  );
}

const csvOf = (made: Made): string =>
  ["name,token", ...made.map(({ node, token }) => `"${node.name.replaceAll('"', '""')}",${token}`)].join(
    "\r\n",
  );

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  URL.revokeObjectURL(address);
}
