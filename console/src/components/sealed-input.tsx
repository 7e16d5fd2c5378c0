import { PasswordInput, type PasswordInputProps } from "@mantine/core";
import { SealedNotice } from "./sealed-notice.tsx";

export type Secret = { value: string; remove: boolean };
type Props = Omit<PasswordInputProps, "value" | "onChange" | "description" | "required"> & {
  /** One is sealed at the master already. */
  isSet: boolean;
  value: Secret;
  onChange(secret: Secret): void;
  hint?: string | undefined;
  /** There must be one: it can be replaced, but not removed. */
  required?: boolean;
};

/** A secret: whether it is set is shown, never its value. Left empty, what is set stays. */
export function SealedInput({ isSet, value, onChange, hint, required = false, ...props }: Props) {
  return (
    <PasswordInput
      {...props}
      autoComplete="new-password"
      required={required && !isSet}
      placeholder={isSet && !value.remove ? "••••••••" : ""}
      value={value.value}
      onChange={(event) => onChange({ value: event.currentTarget.value, remove: false })}
      inputWrapperOrder={["label", "input", "description", "error"]}
      description={
        <SealedNotice
          hint={hint}
          isSet={isSet}
          isRemoved={value.remove}
          onToggle={required ? null : () => onChange({ value: "", remove: !value.remove })}
        />
      }
    />
  );
}
