import {
  Button,
  Center,
  Group,
  Image,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import type { ApiError } from "../api/call.ts";
import { useAnswer, useChange } from "../api/queries.ts";
import { ErrorNotice } from "../components/error-notice.tsx";
import { fieldErrors } from "../components/form-errors.ts";
import { LanguageChoice } from "../components/language-choice.tsx";
import { Waiting } from "../components/waiting.tsx";

/** The way in: making the first administrator, or signing in. `reason` is why nobody could be asked who they are. */
export function Welcome({ reason }: { reason: ApiError | null }) {
  const setup = useAnswer(adminApi.setupState, {});
  if (setup.isPending) return <Waiting />;
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w="100%" maw={420}>
        <Stack>
          <Group justify="space-between">
            <Image src="/icon.svg" alt="" w={40} h={40} />
            <LanguageChoice />
          </Group>
          <ErrorNotice error={reason ?? setup.error} retry={() => setup.refetch()} />
          {setup.data ? <Credentials first={setup.data.needed} /> : null}
        </Stack>
      </Paper>
    </Center>
  );
}

function Credentials({ first }: { first: boolean }) {
  const { t } = useTranslation();
  const setUp = useChange(adminApi.setup, "/api/auth");
  const signIn = useChange(adminApi.login, "/api/auth");
  const form = useForm({ mode: "uncontrolled", initialValues: { username: "", password: "" } });
  const title = first ? t("welcome.setupTitle") : t("welcome.signInTitle");
  useDocumentTitle(`${title} · BackupX Edge`);
  const enter = async (body: { username: string; password: string }) => {
    try {
      if (first) await setUp.mutateAsync({ body });
      await signIn.mutateAsync({ body });
    } catch (error) {
      form.setErrors(fieldErrors(error as ApiError, ["username", "password"]));
    }
  };
  const error = setUp.error ?? signIn.error;
  const isAtField = error !== null && Object.keys(form.errors).length > 0;
  return (
    <form onSubmit={form.onSubmit(enter)}>
      <Stack>
        <Title order={1} size="h3">
          {title}
        </Title>
        {first ? <Text c="dimmed">{t("welcome.setupLead")}</Text> : null}
        <TextInput
          label={t("welcome.username")}
          autoComplete="username"
          required
          autoFocus
          key={form.key("username")}
          {...form.getInputProps("username")}
        />
        <PasswordInput
          label={t("welcome.password")}
          description={first ? t("welcome.passwordHint") : undefined}
          autoComplete={first ? "new-password" : "current-password"}
          required
          key={form.key("password")}
          {...form.getInputProps("password")}
        />
        {isAtField ? null : <ErrorNotice error={error} />}
        <Button type="submit" loading={setUp.isPending || signIn.isPending}>
          {first ? t("welcome.create") : t("welcome.signIn")}
        </Button>
      </Stack>
    </form>
  );
}
