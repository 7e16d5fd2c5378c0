import {
  Alert,
  NumberInput,
  SegmentedControl,
  Select,
  SimpleGrid,
  Switch,
  TagsInput,
  Text,
} from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { SealedInput } from "../../../components/sealed-input.tsx";
import { canBeDifferential } from "./body.ts";
import { useTaskForm } from "./form.ts";
import { FoldedSection } from "./section.tsx";

/** How backups are made: by whom, compressed, encrypted, whole or only what changed. */
export function PackingSection({ secretsSet }: { secretsSet: string[] }) {
  const { t } = useTranslation();
  const form = useTaskForm();
  const isRestic = form.values.pipeline.engine === "restic";
  return (
    <FoldedSection
      title={t("taskEditor.packing")}
      text={t("taskEditor.packingText")}
      summary={useSummary()}
      fields={[
        "pipeline.engine",
        "pipeline.compression",
        "pipeline.level",
        "pipeline.recipients",
        "pipeline.fullEveryDays",
        "resticPassword",
      ]}
    >
      {form.values.sourceType === "file" || isRestic ? <Engine /> : null}
      {isRestic ? (
        <SealedInput
          label={t("taskEditor.resticPassword")}
          hint={t("taskEditor.resticPasswordHint")}
          required={!secretsSet.includes("resticPassword")}
          isSet={secretsSet.includes("resticPassword")}
          {...form.getInputProps("resticPassword")}
          value={form.values.resticPassword}
        />
      ) : (
        <>
          <Compression />
          <Encryption />
          <Differential />
        </>
      )}
    </FoldedSection>
  );
}

function useSummary(): string {
  const { t } = useTranslation();
  const { values } = useTaskForm();
  const { engine, compression, isEncrypted, isDifferential } = values.pipeline;
  if (engine === "restic") return t("taskEditor.engineRestic");
  return [
    t(`taskEditor.compression_${compression as "zstd"}`),
    isEncrypted ? t("taskEditor.encrypted") : t("taskEditor.notEncrypted"),
    canBeDifferential(values) && isDifferential ? t("taskEditor.differential") : t("taskEditor.alwaysFull"),
  ].join(" · ");
}

function Engine() {
  const { t } = useTranslation();
  const form = useTaskForm();
  return (
    <Labelled
      label={t("taskEditor.engine")}
      hint={t(`taskEditor.engine_${form.values.pipeline.engine as "archive"}`)}
    >
      <SegmentedControl
        aria-label={t("taskEditor.engine")}
        data={[
          { value: "archive", label: t("taskEditor.engineArchive") },
          { value: "restic", label: t("taskEditor.engineRestic") },
        ]}
        {...form.getInputProps("pipeline.engine")}
      />
    </Labelled>
  );
}

const highest: Record<string, number> = { zstd: 19, gzip: 9 };

function Compression() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { compression } = form.values.pipeline;
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }}>
      <Select
        label={t("taskEditor.compression")}
        allowDeselect={false}
        data={(["zstd", "gzip", "none"] as const).map((value) => ({
          value,
          label: t(`taskEditor.compression_${value}`),
        }))}
        {...form.getInputProps("pipeline.compression")}
      />
      {compression === "none" ? null : (
        <NumberInput
          label={t("taskEditor.level")}
          placeholder={t("taskEditor.levelDefault")}
          min={1}
          max={highest[compression] ?? 19}
          allowDecimal={false}
          {...form.getInputProps("pipeline.level")}
        />
      )}
    </SimpleGrid>
  );
}

function Encryption() {
  const { t } = useTranslation();
  const form = useTaskForm();
  return (
    <>
      <Switch
        label={t("taskEditor.encrypt")}
        description={t("taskEditor.encryptHint")}
        {...form.getInputProps("pipeline.isEncrypted", { type: "checkbox" })}
      />
      {form.values.pipeline.isEncrypted ? (
        <>
          <TagsInput
            label={t("taskEditor.recipients")}
            description={t("taskEditor.recipientsHint")}
            placeholder="age1…"
            acceptValueOnBlur
            maxTags={16}
            splitChars={[",", " ", "\n"]}
            {...form.getInputProps("pipeline.recipients")}
          />
          <Alert color="orange">
            <Text size="sm">{t("taskEditor.recipientsWarning")}</Text>
          </Alert>
        </>
      ) : null}
    </>
  );
}

function Differential() {
  const { t } = useTranslation();
  const form = useTaskForm();
  if (!canBeDifferential(form.values)) return null;
  return (
    <>
      <Switch
        label={t("taskEditor.differential")}
        description={t("taskEditor.differentialHint")}
        {...form.getInputProps("pipeline.isDifferential", { type: "checkbox" })}
      />
      {form.values.pipeline.isDifferential ? (
        <NumberInput
          label={t("taskEditor.fullEveryDays")}
          w={220}
          min={1}
          max={365}
          allowDecimal={false}
          {...form.getInputProps("pipeline.fullEveryDays")}
        />
      ) : null}
    </>
  );
}

function Labelled({ label, hint, children }: { label: string; hint: string; children: ReactNode }) {
  return (
    <div>
      <Text size="sm" fw={500} mb={4}>
        {label}
      </Text>
      {children}
      <Text size="xs" c="dimmed" mt={4}>
        {hint}
      </Text>
    </div>
  );
}
