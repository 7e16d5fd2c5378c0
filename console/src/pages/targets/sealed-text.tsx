import { Button, FileButton, Stack, Textarea } from "@mantine/core";
import { IconFileUpload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Secret } from "../../components/sealed-input.tsx";
import { SealedNotice } from "../../components/sealed-notice.tsx";

type Props = {
  label: string;
  hint: string | undefined;
  required: boolean;
  /** One is sealed at the master already. */
  isSet: boolean;
  value: Secret;
  onChange(secret: Secret): void;
  error: React.ReactNode;
};

/** A secret of several lines, typed, pasted or read from a file of this computer. */
export function SealedText({ label, hint, required, isSet, value, onChange, error }: Props) {
  const { t } = useTranslation();
  const read = async (file: File | null) => {
    if (file) onChange({ value: await file.text(), remove: false });
  };
  return (
    <Stack gap={6} align="flex-start">
      <Textarea
        w="100%"
        label={label}
        required={required && !isSet}
        autosize
        minRows={3}
        maxRows={8}
        spellCheck={false}
        autoComplete="off"
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: "0.8rem" } }}
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
        error={error}
      />
      <FileButton onChange={read}>
        {(button) => (
          <Button
            {...button}
            size="xs"
            variant="default"
            leftSection={<IconFileUpload size={14} aria-hidden />}
          >
            {t("targets.chooseFile")}
          </Button>
        )}
      </FileButton>
    </Stack>
  );
}
