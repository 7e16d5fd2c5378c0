import { Alert, Checkbox, Radio, Stack, TextInput } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { isDatabaseServer, type StepProps } from "./plan.ts";

/** What happens to what is there already, and what opens an encrypted backup. */
export function How({ record, plan, change }: StepProps) {
  const { t } = useTranslation();
  const isServer = isDatabaseServer(record) && plan.place === "original";
  return (
    <Stack>
      <Radio.Group
        label={t("wizard.conflict")}
        value={plan.conflict}
        onChange={(conflict) => change({ conflict: conflict as typeof plan.conflict })}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="fail" label={t("wizard.fail")} description={t("wizard.failHint")} />
          <Radio value="keep" label={t("wizard.keep")} description={t("wizard.keepHint")} />
          <Radio
            value="overwrite"
            label={t("wizard.overwrite")}
            description={isServer ? t("wizard.overwriteDatabaseHint") : t("wizard.overwriteHint")}
          />
        </Stack>
      </Radio.Group>
      {isServer && record.sourceType === "postgresql" ? (
        <Stack gap="xs">
          <Checkbox
            label={t("wizard.owners")}
            checked={plan.owners}
            onChange={({ currentTarget }) => change({ owners: currentTarget.checked })}
          />
          <Checkbox
            label={t("wizard.roles")}
            checked={plan.roles}
            onChange={({ currentTarget }) => change({ roles: currentTarget.checked })}
          />
        </Stack>
      ) : null}
      {record.encrypted ? (
        <Alert icon={<IconLock aria-hidden />} title={t("wizard.encryptedTitle")}>
          <Stack gap="sm">
            {t("wizard.encryptedText")}
            <TextInput
              label={t("wizard.identityFile")}
              description={t("wizard.identityHint")}
              placeholder="/root/backup-key.txt"
              value={plan.identityFile}
              onChange={({ currentTarget }) => change({ identityFile: currentTarget.value })}
            />
          </Stack>
        </Alert>
      ) : null}
    </Stack>
  );
}
