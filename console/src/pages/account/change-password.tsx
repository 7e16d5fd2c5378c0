import { Alert, Button, PasswordInput, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { NewPassword } from "../../components/new-password.tsx";
import { Section } from "../../components/section.tsx";

/** One's own password, changed by who knows the old one. */
export function ChangePassword() {
  const { t } = useTranslation();
  const change = useChange(adminApi.changePassword);
  const form = useForm({ initialValues: { current: "", next: "" } });
  const save = async (body: typeof form.values) => {
    try {
      await change.mutateAsync({ body });
      form.reset();
    } catch (error) {
      form.setErrors(fieldErrors(error as ApiError, ["current", "next"]));
    }
  };
  return (
    <Section title={t("account.password")}>
      <form onSubmit={form.onSubmit(save)}>
        <Stack>
          <Text size="sm" c="dimmed">
            {t("account.passwordLead")}
          </Text>
          <PasswordInput
            label={t("account.current")}
            autoComplete="current-password"
            required
            {...form.getInputProps("current")}
          />
          <NewPassword label={t("account.next")} required {...form.getInputProps("next")} />
          {Object.keys(form.errors).length > 0 ? null : <ErrorNotice error={change.error} />}
          {change.isSuccess ? (
            <Alert color="green" role="status" icon={<IconCheck aria-hidden />}>
              {t("account.changed")}
            </Alert>
          ) : null}
          <Button type="submit" loading={change.isPending} w="fit-content">
            {t("account.change")}
          </Button>
        </Stack>
      </form>
    </Section>
  );
}
