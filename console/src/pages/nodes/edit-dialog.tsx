import { Modal, NumberInput, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { BandwidthInput } from "../../components/bandwidth-input.tsx";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { inBytes, inMiB } from "../../components/mib-per-second.ts";
import { LabelInput } from "./label-input.tsx";
import type { Node } from "./node.ts";

const fields = ["name", "labels", "maxConcurrent", "bandwidthBytesPerSecond"] as const;

/** A node's name, labels and limits. */
export function EditDialog({ node, close }: { node: Node; close(): void }) {
  const { t } = useTranslation();
  const change = useChange(adminApi.updateNode, "/api/tasks", "/api/records");
  const form = useForm({
    initialValues: {
      name: node.name,
      labels: node.labels,
      maxConcurrent: node.maxConcurrent as number | string,
      bandwidthBytesPerSecond: inMiB(node.bandwidthBytesPerSecond) as number | string,
    },
  });
  const save = async (values: typeof form.values) => {
    const body = {
      name: values.name,
      labels: values.labels,
      maxConcurrent: Number(values.maxConcurrent),
      bandwidthBytesPerSecond: inBytes(values.bandwidthBytesPerSecond),
    };
    try {
      await change.mutateAsync({ params: { id: String(node.id) }, body });
      close();
    } catch (error) {
      form.setErrors(atFields(error as ApiError));
    }
  };
  return (
    <Modal opened onClose={close} title={t("nodes.editTitle", { name: node.name })}>
      <form onSubmit={form.onSubmit(save)} noValidate>
        <Stack>
          <TextInput label={t("common.name")} required data-autofocus {...form.getInputProps("name")} />
          <LabelInput {...form.getInputProps("labels")} />
          <NumberInput
            label={t("nodes.maxConcurrent")}
            description={t("nodes.maxConcurrentHint")}
            min={1}
            max={32}
            allowDecimal={false}
            {...form.getInputProps("maxConcurrent")}
          />
          <BandwidthInput
            label={t("nodes.bandwidth")}
            description={t("nodes.bandwidthHint")}
            placeholder={t("nodes.unlimited")}
            {...form.getInputProps("bandwidthBytesPerSecond")}
          />
          <DialogEnd submit={t("common.save")} change={change} close={close} atFields={form.errors} />
        </Stack>
      </form>
    </Modal>
  );
}

const atFields = (error: ApiError) =>
  error.code === "NAME_TAKEN" ? { name: error.message } : fieldErrors(error, fields);
