import { Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { JoinPanel } from "./join-panel.tsx";
import { LabelInput } from "./label-input.tsx";

/** Asks for a name; then shows the command that makes a machine this node. */
export function AddOne() {
  const { t } = useTranslation();
  const create = useChange(adminApi.createNode);
  const form = useForm({ initialValues: { name: "", labels: [] as string[] } });
  const add = async (body: typeof form.values) => {
    try {
      await create.mutateAsync({ body });
    } catch (error) {
      form.setErrors(atFields(error as ApiError));
    }
  };
  if (create.data) {
    const { node, token } = create.data;
    const another = () => {
      create.reset();
      form.reset();
    };
    return (
      <Stack>
        <JoinPanel key={node.id} node={node} token={token} title={t("nodes.runOn", { name: node.name })} />
        <Button variant="default" w="fit-content" onClick={another}>
          {t("nodes.addAnother")}
        </Button>
      </Stack>
    );
  }
  return (
    <form onSubmit={form.onSubmit(add)} noValidate>
      <Stack>
        <TextInput
          label={t("common.name")}
          description={t("nodes.nameHint")}
          required
          autoFocus
          maxLength={100}
          {...form.getInputProps("name")}
        />
        <LabelInput {...form.getInputProps("labels")} />
        {Object.keys(form.errors).length > 0 ? null : <ErrorNotice error={create.error} />}
        <Group justify="space-between" gap="sm">
          <Text size="sm" c="dimmed" flex={1}>
            {t("nodes.nextStep")}
          </Text>
          <Group gap="sm">
            <Button component={Link} to="/nodes" variant="default">
              {t("common.cancel")}
            </Button>
            <Button type="submit" loading={create.isPending}>
              {t("nodes.continue")}
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

const atFields = (error: ApiError) =>
  error.code === "NAME_TAKEN" ? { name: error.message } : fieldErrors(error, ["name", "labels"]);
