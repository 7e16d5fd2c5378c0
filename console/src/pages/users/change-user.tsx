import { Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Role } from "../../../../protocol/states.ts";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { NewPassword } from "../../components/new-password.tsx";
import { RoleSelect } from "../../components/role-select.tsx";
import type { User } from "./user.ts";

type Props = { user: User; what: "role" | "password"; close(): void };

/** Gives a user another role or another password. */
export function ChangeUser({ user, what, close }: Props) {
  const { t } = useTranslation();
  const update = useChange(adminApi.updateUser);
  const [role, setRole] = useState<Role>(user.role);
  const [password, setPassword] = useState("");
  const wrong = fieldErrors(update.error, ["password"])["password"];
  const save = async (event: FormEvent) => {
    event.preventDefault();
    try {
      const body = what === "role" ? { role } : { password };
      await update.mutateAsync({ params: { id: String(user.id) }, body });
      close();
    } catch {
      // It is shown below.
    }
  };
  return (
    <form onSubmit={save}>
      <Stack>
        {what === "role" ? (
          <RoleSelect value={role} onChange={setRole} data-autofocus />
        ) : (
          <NewPassword
            label={t("users.newPassword")}
            required
            data-autofocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={wrong}
          />
        )}
        <Text size="sm" c="dimmed">
          {t("users.signsOut", { name: user.username })}
        </Text>
        <DialogEnd
          submit={t("common.save")}
          change={update}
          close={close}
          atFields={wrong ? { password: wrong } : {}}
        />
      </Stack>
    </form>
  );
}
