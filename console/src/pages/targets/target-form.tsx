import { Button, Collapse, Group, NumberInput, Paper, Select, Stack, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { TargetType } from "../../../../protocol/states.ts";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { BandwidthInput } from "../../components/bandwidth-input.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { bodyOf, quotaUnits, valuesOf } from "./form.ts";
import { kinds } from "./kinds.ts";
import { SecretSetting, SettingField } from "./setting-field.tsx";
import type { Target } from "./target.ts";

type Props = { type: TargetType; target: Target | null; onSaved(target: Target): unknown };

/** Makes a target of a kind, or changes one. */
export function TargetForm({ type, target, onSaved }: Props) {
  const { t } = useTranslation();
  const create = useChange(adminApi.createTarget);
  const update = useChange(adminApi.updateTarget);
  const form = useForm({ initialValues: valuesOf(type, target) });
  const { config, secrets } = kinds[type];
  const save = async () => {
    const body = bodyOf(type, form.values, target === null);
    try {
      await onSaved(
        target
          ? await update.mutateAsync({ params: { id: String(target.id) }, body })
          : await create.mutateAsync({ body: { ...body, type } }),
      );
    } catch (error) {
      form.setErrors(errorsAtFields(error as ApiError, type));
    }
  };
  const fields = (advanced: boolean) =>
    Object.entries(config)
      .filter(([, field]) => (field.advanced ?? false) === advanced)
      .map(([name, field]) => <SettingField key={name} name={name} field={field} form={form} />);
  const secretFields = (advanced: boolean) =>
    Object.entries(secrets)
      .filter(([, field]) => (field.advanced ?? false) === advanced)
      .map(([name, field]) => {
        const isSet = target?.secretsSet.includes(name) ?? false;
        return <SecretSetting key={name} name={name} field={field} form={form} isSet={isSet} />;
      });
  const more = [...fields(true), ...secretFields(true)];
  const isSaving = create.isPending || update.isPending;
  const isAtField = Object.keys(form.errors).length > 0;
  return (
    <form onSubmit={form.onSubmit(save)}>
      <Stack maw={680}>
        <Part title={t("targets.settings")}>
          <TextInput
            label={t("common.name")}
            description={t("targets.nameHint")}
            required
            maxLength={100}
            autoFocus={target === null}
            {...form.getInputProps("name")}
          />
          {fields(false)}
        </Part>
        {secretFields(false).length > 0 ? (
          <Part title={t("targets.access")}>{secretFields(false)}</Part>
        ) : null}
        {more.length > 0 ? <More>{more}</More> : null}
        <Part title={t("targets.limits")}>
          <Group align="flex-end" gap="xs">
            <NumberInput
              label={t("targets.quota")}
              description={t("targets.quotaHint")}
              min={1}
              flex={1}
              hideControls
              thousandSeparator=" "
              {...form.getInputProps("quota.amount")}
            />
            <Select
              aria-label={t("targets.quotaUnit")}
              data={Object.keys(quotaUnits)}
              w={90}
              allowDeselect={false}
              {...form.getInputProps("quota.unit")}
            />
          </Group>
          <BandwidthInput
            label={t("targets.bandwidth")}
            description={t("targets.bandwidthHint")}
            {...form.getInputProps("bandwidthMiBPerSecond")}
          />
        </Part>
        {isAtField ? null : <ErrorNotice error={create.error ?? update.error} />}
        <Group justify="flex-end" className="form-end">
          <Button variant="default" component={Link} to={target ? `/targets/${target.id}` : "/targets"}>
            {t("common.cancel")}
          </Button>
          <Button type="submit" loading={isSaving}>
            {target ? t("common.save") : t("targets.create")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Fields of the master that are others in the form. */
const renamed: Record<string, string> = {
  quotaBytes: "quota.amount",
  bandwidthBytesPerSecond: "bandwidthMiBPerSecond",
};

function errorsAtFields(error: ApiError, type: TargetType): Record<string, string> {
  if (error.code === "NAME_TAKEN") return { name: error.message };
  const names = [
    "name",
    ...Object.keys(kinds[type].config).map((name) => `config.${name}`),
    ...Object.keys(kinds[type].secrets).map((name) => `secrets.${name}`),
  ];
  const found = fieldErrors(error, [...names, ...Object.keys(renamed)]);
  return Object.fromEntries(Object.entries(found).map(([name, reason]) => [renamed[name] ?? name, reason]));
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Paper withBorder p="lg">
      <Stack>
        <Title order={2} size="h5">
          {title}
        </Title>
        {children}
      </Stack>
    </Paper>
  );
}

function More({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [isOpen, { toggle }] = useDisclosure();
  const Arrow = isOpen ? IconChevronUp : IconChevronDown;
  return (
    <div>
      <Button
        variant="subtle"
        size="compact-sm"
        onClick={toggle}
        aria-expanded={isOpen}
        rightSection={<Arrow size={14} aria-hidden />}
      >
        {t("targets.more")}
      </Button>
      <Collapse expanded={isOpen}>
        <Paper withBorder p="lg" mt="xs">
          <Stack>{children}</Stack>
        </Paper>
      </Collapse>
    </div>
  );
}
