import { Alert, Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { IconHourglass } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { NewPassword } from "../../components/new-password.tsx";
import { useCountdown } from "../../components/use-countdown.ts";

/** A name and a password: the first administrator's, who is made, or those of somebody who signs in. */
export function CredentialsForm({ first }: { first: boolean }) {
  const { t } = useTranslation();
  const setUp = useChange(adminApi.setup);
  const signIn = useSignIn();
  const form = useForm({ initialValues: { username: "", password: "" } });
  const title = first ? t("welcome.setupTitle") : t("welcome.signInTitle");
  useDocumentTitle(`${title} · BackupX Edge`);
  const enter = async (body: typeof form.values) => {
    try {
      if (first) await setUp.mutateAsync({ body });
      await signIn.start(body);
    } catch (error) {
      form.setErrors(fieldErrors(error as ApiError, ["username", "password"]));
    }
  };
  const isAtField = Object.keys(form.errors).length > 0;
  return (
    <form onSubmit={form.onSubmit(enter)}>
      <Stack>
        <div>
          <Title order={1} size="h2">
            {title}
          </Title>
          <Text c="dimmed" mt={4}>
            {first ? t("welcome.setupLead") : t("welcome.signInLead")}
          </Text>
        </div>
        <TextInput
          label={t("welcome.username")}
          description={first ? t("welcome.usernameHint") : undefined}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          autoFocus
          {...form.getInputProps("username")}
        />
        {first ? (
          <NewPassword label={t("welcome.password")} required {...form.getInputProps("password")} />
        ) : (
          <PasswordInput
            label={t("welcome.password")}
            autoComplete="current-password"
            required
            {...form.getInputProps("password")}
            error={signIn.isWrong ? t("welcome.wrong") : form.errors["password"]}
          />
        )}
        {first ? <Text size="sm">{t("welcome.keepPassword")}</Text> : null}
        {isAtField ? null : <ErrorNotice error={setUp.error ?? signIn.error} />}
        <SlowDown seconds={signIn.waitSeconds} />
        <Button
          type="submit"
          size="md"
          loading={setUp.isPending || signIn.isPending}
          disabled={signIn.waitSeconds > 0}
        >
          {first ? t("welcome.create") : t("welcome.signIn")}
        </Button>
      </Stack>
    </form>
  );
}

/** Why the button does not answer for a while. */
export function SlowDown({ seconds }: { seconds: number }) {
  const { t } = useTranslation();
  if (seconds === 0) return null;
  return (
    <Alert color="orange" icon={<IconHourglass aria-hidden />} role="alert">
      {t("welcome.slowDown", { seconds })}
    </Alert>
  );
}

/** Signing in, with what can go wrong told apart: a wrong password, too many of them, and anything else. */
export function useSignIn() {
  const signIn = useChange(adminApi.login);
  const wait = useCountdown();
  const { error } = signIn;
  return {
    isPending: signIn.isPending,
    isWrong: error?.code === "LOGIN_FAILED",
    waitSeconds: wait.seconds,
    error: error && ["LOGIN_FAILED", "TOO_MANY_REQUESTS"].includes(error.code) ? null : error,
    start: async (body: { username: string; password: string }) => {
      try {
        await signIn.mutateAsync({ body });
      } catch (problem) {
        if (problem instanceof ApiError && problem.retryAfterSeconds) wait.start(problem.retryAfterSeconds);
        throw problem;
      }
    },
  };
}
