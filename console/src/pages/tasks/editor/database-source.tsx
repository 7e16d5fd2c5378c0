import { Alert, NumberInput, Select, SimpleGrid, Switch, TagsInput, Text, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { SealedInput } from "../../../components/sealed-input.tsx";
import { useTaskForm } from "./form.ts";
import { FoundDatabases } from "./found-databases.tsx";

type Kind = "postgresql" | "mysql" | "mongodb" | "saphana";
type Props = { kind: Kind; taskId: number | null; isPasswordSet: boolean };

/** A database server, how it is reached, and which of its databases. */
export function DatabaseSource({ kind, taskId, isPasswordSet }: Props) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const at = `sources.${kind}` as const;
  const { host, port, user } = form.values.sources[kind];
  return (
    <>
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextInput
          label={t("taskEditor.host")}
          description={kind === "saphana" ? undefined : t("taskEditor.hostHint")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          {...form.getInputProps(`${at}.host`)}
        />
        <NumberInput
          label={t("taskEditor.port")}
          min={1}
          max={65_535}
          thousandSeparator=""
          placeholder={kind === "saphana" ? t("taskEditor.portOfInstance") : ""}
          {...form.getInputProps(`${at}.port`)}
        />
        <TextInput label={t("taskEditor.user")} autoComplete="off" {...form.getInputProps(`${at}.user`)} />
        {kind === "saphana" ? (
          <TextInput label={t("taskEditor.instance")} {...form.getInputProps("sources.saphana.instance")} />
        ) : (
          <SealedInput
            label={t("taskEditor.password")}
            isSet={isPasswordSet}
            {...form.getInputProps("password")}
            value={form.values.password}
          />
        )}
        <TlsFields at={at} />
        <OwnFields kind={kind} />
      </SimpleGrid>
      {kind === "saphana" ? (
        <Alert color="blue">
          <Text size="sm">{t("taskEditor.saphanaHint")}</Text>
        </Alert>
      ) : null}
      <FoundDatabases
        // What was found on one server says nothing of another.
        key={[form.values.nodeId, host, port, user].join(" ")}
        kind={kind}
        taskId={taskId}
      />
      <TagsInput
        label={t("taskEditor.excludeDatabases")}
        acceptValueOnBlur
        {...form.getInputProps(`${at}.excludeDatabases`)}
      />
      <OwnSwitches kind={kind} />
    </>
  );
}

const modes = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const;

function TlsFields({ at }: { at: `sources.${Kind}` }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  return (
    <>
      <Select
        label={t("taskEditor.tls")}
        allowDeselect={false}
        data={modes.map((value) => ({ value, label: t(`taskEditor.tls_${value}`) }))}
        {...form.getInputProps(`${at}.tls.mode`)}
      />
      <TextInput
        label={t("taskEditor.caFile")}
        placeholder={t("taskEditor.caFileSystem")}
        {...form.getInputProps(`${at}.tls.caFile`)}
      />
    </>
  );
}

function OwnFields({ kind }: { kind: Kind }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  if (kind === "postgresql") {
    return (
      <TextInput
        label={t("taskEditor.maintenanceDatabase")}
        {...form.getInputProps("sources.postgresql.maintenanceDatabase")}
      />
    );
  }
  if (kind !== "mongodb") return null;
  return (
    <>
      <TextInput
        label={t("taskEditor.authDatabase")}
        {...form.getInputProps("sources.mongodb.authDatabase")}
      />
      <TextInput label={t("taskEditor.replicaSet")} {...form.getInputProps("sources.mongodb.replicaSet")} />
    </>
  );
}

function OwnSwitches({ kind }: { kind: Kind }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const switchProps = (path: Parameters<typeof form.getInputProps>[0]) =>
    form.getInputProps(path, { type: "checkbox" });
  switch (kind) {
    case "postgresql":
      return (
        <>
          <Switch label={t("taskEditor.globals")} {...switchProps("sources.postgresql.globals")} />
          <TagsInput
            label={t("taskEditor.excludeTables")}
            acceptValueOnBlur
            {...form.getInputProps("sources.postgresql.excludeTables")}
          />
          <TagsInput
            label={t("taskEditor.excludeTableData")}
            acceptValueOnBlur
            {...form.getInputProps("sources.postgresql.excludeTableData")}
          />
        </>
      );
    case "mysql":
      return (
        <>
          <Switch
            label={t("taskEditor.singleTransaction")}
            description={t("taskEditor.singleTransactionHint")}
            {...switchProps("sources.mysql.singleTransaction")}
          />
          <TagsInput
            label={t("taskEditor.excludeTables")}
            description={t("taskEditor.excludeTablesMysql")}
            acceptValueOnBlur
            {...form.getInputProps("sources.mysql.excludeTables")}
          />
        </>
      );
    case "mongodb":
      return (
        <Switch
          label={t("taskEditor.oplog")}
          description={t("taskEditor.oplogHint")}
          {...switchProps("sources.mongodb.oplog")}
        />
      );
    default:
      return null;
  }
}
