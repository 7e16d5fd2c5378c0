import { Button, Group, Stack, Textarea } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { LabelInput } from "./label-input.tsx";
import { MadeNodes } from "./made-nodes.tsx";

const MOST = 50;
const namesIn = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** Asks for many names at once, and shows each one's token. */
export function AddSeveral() {
  const { t } = useTranslation();
  const create = useChange(adminApi.createNodes);
  const form = useForm({
    initialValues: { names: "", labels: [] as string[] },
    validate: {
      names: (text) => (namesIn(text).length > MOST ? t("nodes.tooMany", { count: MOST }) : null),
    },
  });
  const add = async ({ names, labels }: typeof form.values) => {
    try {
      await create.mutateAsync({ body: { names: namesIn(names), labels } });
    } catch (error) {
      form.setErrors(atFields(error as ApiError));
    }
  };
  if (create.data) return <MadeNodes made={create.data.items} />;
  const count = namesIn(form.values.names).length;
  return (
    <form onSubmit={form.onSubmit(add)} noValidate>
      <Stack>
        <Textarea
          label={t("nodes.names")}
          description={t("nodes.namesHint", { count: MOST })}
          placeholder={"web-1\nweb-2\ndb-1"}
          required
          autosize
          minRows={6}
          maxRows={16}
          {...form.getInputProps("names")}
        />
        <LabelInput {...form.getInputProps("labels")} />
        {Object.keys(form.errors).length > 0 ? null : <ErrorNotice error={create.error} />}
        <Group justify="flex-end" gap="sm">
          <Button component={Link} to="/nodes" variant="default">
            {t("common.cancel")}
          </Button>
          <Button type="submit" loading={create.isPending} disabled={count === 0}>
            {count === 0 ? t("nodes.addNone") : t("nodes.addCount", { count })}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const atFields = (error: ApiError) =>
  error.code === "NAME_TAKEN" ? { names: error.message } : fieldErrors(error, ["names", "labels"]);
