import { useTranslation } from "react-i18next";
import { en } from "../../i18n/en/en.ts";

/** Keys of texts hold no point: `api_key_create` is `api_key.create`. */
const ENTITY = /^(api_key|enrollment_code|storage_target|[a-z]+)_/;

type Action = keyof (typeof en)["auditActions"];

/** Everything that the audit log can tell, as the master calls it: `task.run`. */
export const auditActions = Object.keys(en.auditActions).map((key) => key.replace(ENTITY, "$1."));

/** An action in words; one that this console does not know stays as the master calls it. */
export function useActionWords(): (action: string) => string {
  const { t } = useTranslation();
  return (action) => {
    const key = action.replace(".", "_");
    return key in en.auditActions ? t(`auditActions.${key as Action}`) : action;
  };
}
