import { Anchor, PasswordInput, type PasswordInputProps, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

type Secret = { value: string; remove: boolean };
type Props = Omit<PasswordInputProps, "value" | "onChange" | "description"> & {
  /** One is sealed at the master already. */
  isSet: boolean;
  value: Secret;
  onChange(secret: Secret): void;
  hint?: string;
};

/** A secret: whether it is set is shown, never its value. Left empty, what is set stays. */
export function SealedInput({ isSet, value, onChange, hint, ...props }: Props) {
  const { t } = useTranslation();
  const stays = isSet && !value.remove;
  const notice = stays ? t("common.secretSet") : t("common.secretRemoved");
  return (
    <PasswordInput
      {...props}
      autoComplete="new-password"
      placeholder={stays ? "••••••••" : ""}
      value={value.value}
      onChange={(event) => onChange({ value: event.currentTarget.value, remove: false })}
      inputWrapperOrder={["label", "input", "description", "error"]}
      description={
        <>
          {hint}
          {hint && isSet ? " " : null}
          {isSet ? (
            <Text span inherit>
              {notice}{" "}
              <Anchor
                component="button"
                type="button"
                size="xs"
                onClick={() => onChange({ value: "", remove: !value.remove })}
              >
                {value.remove ? t("common.secretKeep") : t("common.secretRemove")}
              </Anchor>
            </Text>
          ) : null}
        </>
      }
    />
  );
}
