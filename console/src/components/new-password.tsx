import { Group, PasswordInput, type PasswordInputProps, Text } from "@mantine/core";
import { IconCircle, IconCircleCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

/** What the contract asks of a password; its schema does not come to the browser. */
const MIN_LENGTH = 10;

type Props = Omit<PasswordInputProps, "value" | "description"> & { value?: string };

/** A password to be chosen: the rule for it stands below, and is ticked once it is kept. */
export function NewPassword({ value = "", ...input }: Props) {
  const { t } = useTranslation();
  const isLongEnough = value.length >= MIN_LENGTH;
  const Mark = isLongEnough ? IconCircleCheck : IconCircle;
  return (
    <PasswordInput
      autoComplete="new-password"
      minLength={MIN_LENGTH}
      value={value}
      inputWrapperOrder={["label", "input", "description", "error"]}
      description={
        <Group
          component="span"
          gap={6}
          mt={6}
          c={isLongEnough ? "var(--mantine-color-green-text)" : "dimmed"}
        >
          <Mark size={16} aria-hidden />
          <Text component="span" size="xs" inherit>
            {t("common.passwordRule", { count: MIN_LENGTH })}
          </Text>
        </Group>
      }
      {...input}
    />
  );
}
