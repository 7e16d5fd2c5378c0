import { Modal, Radio, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import type { Grade } from "../../../../protocol/verification.ts";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { DialogEnd } from "../../components/dialog-end.tsx";
import { fieldErrors } from "../../components/form-errors.ts";
import { NodeSelect } from "../../components/node-select.tsx";
import type { RecordDetail } from "./record-detail.ts";

type Props = { record: RecordDetail; opened: boolean; onClose(): void };
const grades: Grade[] = [1, 2, 3, 4];
/** From this one on an encrypted backup has to be opened. */
const OPENS: Grade = 3;

/** Asks how far a backup is to be verified, by which node and which copies, and starts it. */
export function VerifyDialog({ record, opened, onClose }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const verify = useChange(adminApi.verifyRecord, "/api/verifications");
  const form = useForm({
    initialValues: {
      grade: "3",
      nodeId: record.nodeId,
      targetId: null as string | null,
      identityFile: "",
    },
  });
  const { grade, nodeId, targetId, identityFile } = form.values;
  const start = async () => {
    try {
      const { verifications, unreachable } = await verify.mutateAsync({
        params: { id: String(record.id) },
        body: {
          grade: Number(grade) as Grade,
          ...(nodeId === null ? {} : { nodeId }),
          ...(targetId === null ? {} : { targetId: Number(targetId) }),
          identityFile: identityFile.trim() || null,
        },
      });
      if (unreachable.length > 0) {
        const targets = unreachable.map(({ targetName }) => targetName).join(", ");
        notifications.show({ color: "orange", message: t("verifications.unreachable", { targets }) });
      }
      notifications.show({ message: t("verifications.started", { count: verifications.length }) });
      onClose();
      const [first, ...others] = verifications;
      if (first && others.length === 0) await navigate(`/verifications/${first.verificationId}`);
      else await navigate(`/records/${record.id}?tab=history`);
    } catch (error) {
      form.setErrors(fieldErrors(error as ApiError, Object.keys(form.values)));
    }
  };
  return (
    <Modal opened={opened} onClose={onClose} title={t("verifications.verifyTitle")}>
      <form onSubmit={form.onSubmit(start)}>
        <Stack>
          <Text size="sm" c="dimmed">
            {t("verifications.verifyLead")}
          </Text>
          <Radio.Group label={t("verifications.grade")} {...form.getInputProps("grade")}>
            <Stack gap="xs" mt="xs">
              {grades.map((one) => (
                <Radio key={one} value={String(one)} label={`${one} · ${t(`verifications.grade${one}`)}`} />
              ))}
            </Stack>
          </Radio.Group>
          <NodeSelect
            label={t("verifications.node")}
            required
            value={nodeId}
            onChange={(id) => form.setFieldValue("nodeId", id)}
            error={form.errors["nodeId"]}
          />
          <Select
            label={t("verifications.target")}
            placeholder={t("verifications.allCopies")}
            clearable
            data={record.copies
              .filter(({ status }) => status === "success" || status === "damaged")
              .map((copy) => ({ value: String(copy.targetId), label: copy.targetName }))}
            {...form.getInputProps("targetId")}
          />
          {record.encrypted && Number(grade) >= OPENS ? (
            <TextInput
              label={t("wizard.identityFile")}
              description={t("wizard.identityHint")}
              {...form.getInputProps("identityFile")}
            />
          ) : null}
          <DialogEnd
            submit={t("verifications.start")}
            change={verify}
            close={onClose}
            atFields={form.errors}
          />
        </Stack>
      </form>
    </Modal>
  );
}
