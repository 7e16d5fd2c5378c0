import { Modal, Select, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer, useChange } from "../../api/queries.ts";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { NodeSelect } from "../../components/node-select.tsx";
import type { RecordDetail } from "./record-detail.ts";

type Props = { record: RecordDetail; opened: boolean; onClose(): void };

/** Asks for a further storage to copy a backup to, and has it copied. */
export function AddCopyDialog({ record, opened, onClose }: Props) {
  const { t } = useTranslation();
  const copy = useChange(adminApi.copyRecord);
  const targets = useAnswer(adminApi.listTargets, { query: { limit: 200 } }, { enabled: opened });
  const form = useForm({
    initialValues: {
      targetId: null as string | null,
      fromTargetId: null as string | null,
      nodeId: record.nodeId,
    },
    validate: { targetId: (id) => (id === null ? t("record.chooseTarget") : null) },
  });
  const taken = new Set(
    record.copies
      .filter(({ status }) => status !== "failed" && status !== "damaged")
      .map((one) => one.targetId),
  );
  const free = (targets.data?.items ?? []).filter(({ id }) => !taken.has(id));
  const hasNone = targets.data !== undefined && free.length === 0;
  const start = async ({ targetId, fromTargetId, nodeId }: typeof form.values) => {
    const answer = await copy
      .mutateAsync({
        params: { id: String(record.id) },
        body: {
          targetId: Number(targetId),
          ...(fromTargetId === null ? {} : { fromTargetId: Number(fromTargetId) }),
          ...(nodeId === null ? {} : { nodeId }),
        },
      })
      .catch(() => null);
    if (answer === null) return;
    notifications.show(
      answer.warning === null
        ? { message: t("record.copyStarted") }
        : { color: "orange", message: answer.warning, autoClose: false },
    );
    form.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={onClose} title={t("record.addCopy")}>
      <form onSubmit={form.onSubmit(start)}>
        <Stack>
          <Text size="sm" c="dimmed">
            {hasNone ? t("record.noMoreTargets") : t("record.addCopyText")}
          </Text>
          <Select
            label={t("record.target")}
            placeholder={t("record.chooseTarget")}
            required
            searchable
            data={free.map(({ id, name }) => ({ value: String(id), label: name }))}
            {...form.getInputProps("targetId")}
          />
          <Select
            label={t("record.copyFrom")}
            placeholder={t("record.automatic")}
            clearable
            data={record.copies
              .filter(({ status }) => status === "success")
              .map((one) => ({ value: String(one.targetId), label: one.targetName }))}
            {...form.getInputProps("fromTargetId")}
          />
          <NodeSelect
            label={t("record.copyBy")}
            clearable
            value={form.values.nodeId}
            onChange={(id) => form.setFieldValue("nodeId", id)}
          />
          <DialogEnd submit={t("record.start")} change={copy} close={onClose} disabled={hasNone} />
        </Stack>
      </form>
    </Modal>
  );
}
