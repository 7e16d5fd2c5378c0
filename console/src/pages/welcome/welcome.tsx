import { Box, Group, Image, Stack, Text, ThemeIcon } from "@mantine/core";
import { type Icon, IconLock, IconPlugConnected, IconShieldCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useAnswer } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { LanguageChoice } from "../../components/language-choice.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { CredentialsForm } from "./credentials-form.tsx";
import classes from "./welcome.module.css";

/** The way in: making the first administrator, or signing in. `reason` is why nobody could be asked who they are. */
export function Welcome({ reason }: { reason: ApiError | null }) {
  const { t } = useTranslation();
  const setup = useAnswer(adminApi.setupState, {});
  const health = useAnswer(adminApi.health, {});
  return (
    <div className={classes["page"]}>
      <Pitch />
      <main className={classes["side"]}>
        <Group justify="space-between" w="100%">
          <Group gap="xs" hiddenFrom="md">
            <Image src="/icon.svg" alt="" w={28} h={28} />
            <Text fw={600}>BackupX Edge</Text>
          </Group>
          <Box ml="auto">
            <LanguageChoice />
          </Box>
        </Group>
        <Stack w="100%" maw={380} m="auto" py="xl">
          <ErrorNotice error={reason ?? setup.error} retry={() => setup.refetch()} />
          {setup.isPending ? <Waiting /> : null}
          {setup.data ? <CredentialsForm first={setup.data.needed} /> : null}
        </Stack>
        <Text size="xs" c="dimmed">
          {health.data ? t("welcome.version", { version: health.data.version }) : "\u00a0"}
        </Text>
      </main>
    </div>
  );
}

/** What this is for, beside the form where there is room. */
function Pitch() {
  const { t } = useTranslation();
  return (
    <aside className={classes["pitch"]}>
      <Group gap="sm">
        <Image src="/icon.svg" alt="" w={36} h={36} className={classes["icon"]} />
        <Text fw={600} size="lg">
          BackupX Edge
        </Text>
      </Group>
      <Stack gap="xl" my="auto" maw={440}>
        <Text className={classes["headline"]}>{t("welcome.headline")}</Text>
        <Point icon={IconPlugConnected} text={t("welcome.pointAgents")} />
        <Point icon={IconShieldCheck} text={t("welcome.pointVerified")} />
        <Point icon={IconLock} text={t("welcome.pointEncrypted")} />
      </Stack>
    </aside>
  );
}

function Point({ icon: Shape, text }: { icon: Icon; text: string }) {
  return (
    <Group wrap="nowrap" align="flex-start">
      <ThemeIcon size={36} radius="md" className={classes["pointIcon"]}>
        <Shape size={20} aria-hidden />
      </ThemeIcon>
      <Text>{text}</Text>
    </Group>
  );
}
