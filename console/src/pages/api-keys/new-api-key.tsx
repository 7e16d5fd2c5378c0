import { Alert, Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconEyeExclamation } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Role } from "../../../../protocol/states.ts";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { CodeBlock } from "../../components/code-block.tsx";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { RoleSelect } from "../../components/role-select.tsx";

const DAY_MS = 86_400_000;
const lifetimes = ["30", "90", "365", ""] as const;
type Lifetime = (typeof lifetimes)[number];

/** Makes an API key, and shows it this once. */
export function NewApiKey({ close }: { close(): void }) {
  const { t } = useTranslation();
  const create = useChange(adminApi.createApiKey);
  const form = useForm({ initialValues: { name: "", role: "viewer" as Role, days: "90" as Lifetime } });
  const save = async ({ name, role, days }: typeof form.values) => {
    try {
      const expiresAt = days === "" ? null : Date.now() + Number(days) * DAY_MS;
      await create.mutateAsync({ body: { name, role, expiresAt } });
    } catch (error) {
      const { code, message } = error as ApiError;
      form.setErrors(code === "NAME_TAKEN" ? { name: message } : fieldErrors(error as ApiError, ["name"]));
    }
  };
  if (create.data) return <Made apiKey={create.data.key} close={close} />;
  return (
    <form onSubmit={form.onSubmit(save)}>
      <Stack>
        <TextInput
          label={t("common.name")}
          description={t("apiKeys.nameHint")}
          required
          maxLength={100}
          data-autofocus
          {...form.getInputProps("name")}
        />
        <RoleSelect value={form.values.role} onChange={(role) => form.setFieldValue("role", role)} />
        <Select
          label={t("apiKeys.lifetime")}
          allowDeselect={false}
          data={lifetimes.map((days) => ({
            value: days,
            label: days === "" ? t("apiKeys.forever") : t("apiKeys.days", { count: Number(days) }),
          }))}
          {...form.getInputProps("days")}
        />
        <DialogEnd submit={t("apiKeys.add")} change={create} close={close} atFields={form.errors} />
      </Stack>
    </form>
  );
}

function Made({ apiKey, close }: { apiKey: string; close(): void }) {
  const { t } = useTranslation();
  const example = `curl -H "Authorization: Bearer ${apiKey}" ${location.origin}/api/nodes`;
  return (
    <Stack>
      <Alert color="orange" icon={<IconEyeExclamation aria-hidden />}>
        {t("apiKeys.once")}
      </Alert>
      <CodeBlock text={apiKey} label={t("apiKeys.key")} />
      <CodeBlock text={example} label={t("apiKeys.example")} />
      <Group justify="flex-end">
        <Button onClick={close} data-autofocus>
          {t("apiKeys.kept")}
        </Button>
      </Group>
    </Stack>
  );
}
