import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import type { Command } from "./command.ts";

/** Stops the run that a command is for, after asking; null for one that has ended or is for no run. */
export function useCancel(command: Command): (() => void) | null {
  const { t } = useTranslation();
  const backup = useChange(adminApi.cancelRecord, "/api/commands");
  const restore = useChange(adminApi.cancelRestore, "/api/commands");
  const verification = useChange(adminApi.cancelVerification, "/api/commands");
  const { type, recordId, restoreId, verificationId, completedAt } = command;
  const stop = () => {
    if (restoreId !== null) return restore.mutateAsync({ params: { id: String(restoreId) } });
    if (verificationId !== null) return verification.mutateAsync({ params: { id: String(verificationId) } });
    return backup.mutateAsync({ params: { id: String(recordId) } });
  };
  const isRun = restoreId !== null || verificationId !== null || (type === "run_task" && recordId !== null);
  if (completedAt !== null || !isRun) return null;
  return () =>
    confirm({
      title: t("commands.cancelTitle", { id: command.id }),
      text: t("commands.cancelText"),
      confirm: t("commands.cancel"),
      danger: true,
      act: stop,
    });
}
