import { Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { SlowDown, useSignIn } from "./credentials-form.tsx";

/** Above everything else that may be open. */
const ON_TOP = 2000;

/** Signing in again over the page as it was left. */
export function SessionEnded({ name, onBack }: { name: string; onBack(): unknown }) {
  const { t } = useTranslation();
  const signIn = useSignIn();
  const [password, setPassword] = useState("");
  const enter = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await signIn.start({ username: name, password });
    } catch {
      // Shown below.
      return;
    }
    await onBack();
  };
  return (
    <Modal
      opened
      onClose={() => {}}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      zIndex={ON_TOP}
      title={t("welcome.endedTitle")}
    >
      <form onSubmit={enter}>
        <Stack>
          <Text size="sm">{t("welcome.endedText")}</Text>
          <TextInput label={t("welcome.username")} value={name} readOnly autoComplete="username" />
          <PasswordInput
            label={t("welcome.password")}
            autoComplete="current-password"
            required
            data-autofocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={signIn.isWrong ? t("welcome.wrong") : undefined}
          />
          <ErrorNotice error={signIn.error} />
          <SlowDown seconds={signIn.waitSeconds} />
          <Group justify="space-between">
            <Button variant="subtle" onClick={() => location.reload()}>
              {t("welcome.somebodyElse")}
            </Button>
            <Button type="submit" loading={signIn.isPending} disabled={signIn.waitSeconds > 0}>
              {t("welcome.signIn")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
