import { Alert, Button, Stack, Text } from "@mantine/core";
import { IconKey } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { CodeBlock } from "../../components/code-block.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { environment, yamlFile, yamlRun } from "./join-commands.ts";

/** For those who configure machines by file or environment: both hold the token, which is shown when it is made. */
export function TokenForms({ nodeId, token }: { nodeId: number; token: string | undefined }) {
  const { t } = useTranslation();
  const rotate = useChange(adminApi.rotateNodeToken);
  const known = rotate.data?.token ?? token;
  if (known === undefined) {
    return (
      <Stack gap="sm" align="flex-start">
        <Text size="sm">{t("nodes.tokenUnknown")}</Text>
        <ErrorNotice error={rotate.error} />
        <Button
          variant="default"
          leftSection={<IconKey size={16} aria-hidden />}
          loading={rotate.isPending}
          onClick={() => rotate.mutate({ params: { id: String(nodeId) } })}
        >
          {t("nodes.makeToken")}
        </Button>
      </Stack>
    );
  }
  const master = location.origin;
  return (
    <Stack gap="sm">
      <Alert color="orange" icon={<IconKey aria-hidden />}>
        {t("nodes.tokenOnce")}
      </Alert>
      <CodeBlock text={yamlFile(master, known)} label={t("nodes.yaml")} />
      <CodeBlock text={yamlRun(master)} label={t("nodes.command")} />
      <Text size="sm" c="dimmed">
        {t("nodes.orEnvironment")}
      </Text>
      <CodeBlock text={environment(master, known)} label={t("nodes.environment")} />
    </Stack>
  );
}
