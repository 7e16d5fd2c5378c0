import { NumberInput, Select, SimpleGrid } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { BandwidthInput } from "../../../components/bandwidth-input.tsx";
import { useTaskForm } from "./form.ts";
import { FoldedSection } from "./section.tsx";

/** What a run may take of the node. */
export function LimitsSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const { bandwidthMiBPerSecond, threads, nice, ioClass } = form.values.pipeline;
  const summary = [
    bandwidthMiBPerSecond === "" ? null : `${t("taskEditor.bandwidth")}: ${bandwidthMiBPerSecond} MiB/s`,
    threads === "" ? null : `${t("taskEditor.threads")}: ${threads}`,
    nice === "" ? null : `nice ${nice}`,
    ioClass === null ? null : t(`taskEditor.io_${ioClass as "idle"}`),
  ].filter((part) => part !== null);
  return (
    <FoldedSection
      title={t("taskEditor.limits")}
      text={t("taskEditor.limitsText")}
      summary={summary.join(" · ") || t("taskEditor.noLimits")}
      fields={["pipeline.bandwidth", "pipeline.threads", "pipeline.nice", "pipeline.ioClass"]}
    >
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <BandwidthInput
          label={t("taskEditor.bandwidth")}
          placeholder={t("taskEditor.unlimited")}
          {...form.getInputProps("pipeline.bandwidthMiBPerSecond")}
        />
        <NumberInput
          label={t("taskEditor.threads")}
          min={1}
          max={64}
          allowDecimal={false}
          placeholder={t("taskEditor.threadsDefault")}
          {...form.getInputProps("pipeline.threads")}
        />
        <NumberInput
          label={t("taskEditor.nice")}
          min={0}
          max={19}
          allowDecimal={false}
          placeholder={t("taskEditor.asAgent")}
          {...form.getInputProps("pipeline.nice")}
        />
        <Select
          label={t("taskEditor.ioClass")}
          clearable
          placeholder={t("taskEditor.asAgent")}
          data={(["best-effort", "idle"] as const).map((value) => ({
            value,
            label: t(`taskEditor.io_${value}`),
          }))}
          {...form.getInputProps("pipeline.ioClass")}
        />
      </SimpleGrid>
    </FoldedSection>
  );
}
