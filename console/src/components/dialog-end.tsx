import { Button, Group } from "@mantine/core";
import type { FormErrors } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/call.ts";
import { ErrorNotice } from "./error-notice.tsx";

type Props = {
  submit: string;
  change: { isPending: boolean; error: ApiError | null };
  close(): void;
  /** What stands at its fields already is not said twice. */
  atFields?: FormErrors;
  disabled?: boolean;
};

/** The end of a form in a dialog: why it was refused, the way out, and the way on. */
export function DialogEnd({ submit, change, close, atFields = {}, disabled = false }: Props) {
  const { t } = useTranslation();
  return (
    <>
      {Object.keys(atFields).length > 0 ? null : <ErrorNotice error={change.error} />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={close}>
          {t("common.cancel")}
        </Button>
        <Button type="submit" loading={change.isPending} disabled={disabled}>
          {submit}
        </Button>
      </Group>
    </>
  );
}
