import { Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { Role } from "../../../../protocol/states.ts";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { NewPassword } from "../../components/new-password.tsx";
import { RoleSelect } from "../../components/role-select.tsx";

/** Adds somebody who may sign in. */
export function NewUser({ close }: { close(): void }) {
  const { t } = useTranslation();
  const create = useChange(adminApi.createUser);
  const form = useForm({ initialValues: { username: "", password: "", role: "operator" as Role } });
  const save = async () => {
    try {
      await create.mutateAsync({ body: form.values });
      close();
    } catch (error) {
      const { code, message } = error as ApiError;
      form.setErrors(
        code === "NAME_TAKEN"
          ? { username: message }
          : fieldErrors(error as ApiError, ["username", "password", "role"]),
      );
    }
  };
  return (
    <form onSubmit={form.onSubmit(save)}>
      <Stack>
        <TextInput
          label={t("users.name")}
          description={t("welcome.usernameHint")}
          required
          data-autofocus
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          {...form.getInputProps("username")}
        />
        <NewPassword label={t("users.firstPassword")} required {...form.getInputProps("password")} />
        <RoleSelect value={form.values.role} onChange={(role) => form.setFieldValue("role", role)} />
        <DialogEnd submit={t("users.add")} change={create} close={close} atFields={form.errors} />
      </Stack>
    </form>
  );
}
