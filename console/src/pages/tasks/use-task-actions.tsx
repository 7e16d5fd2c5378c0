import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { ApiError } from "../../api/call.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import type { Task } from "./task.ts";

type Actions = {
  isStarting: boolean;
  /** Goes to the page of the record that begins; to that of the one under way, if there is one. */
  run(): Promise<void>;
  setEnabled(enabled: boolean): Promise<void>;
  /** Asks first; `gone` is told when it is done. */
  remove(gone?: () => unknown): void;
};

/** What operators do with a task. */
export function useTaskActions({ id, name }: Pick<Task, "id" | "name">): Actions {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const start = useChange(adminApi.runTask, "/api/records");
  const change = useChange(adminApi.updateTask);
  const remove = useChange(adminApi.deleteTask, "/api/task-tags");
  const params = { id: String(id) };
  return {
    isStarting: start.isPending,
    run: async () => {
      try {
        const { recordId } = await start.mutateAsync({ params });
        await navigate(`/records/${recordId}`);
      } catch (error) {
        const running = error instanceof ApiError ? error.details["recordId"] : undefined;
        tell(t("tasks.notStarted", { name }), error);
        if (running !== undefined) await navigate(`/records/${running}`);
      }
    },
    setEnabled: async (enabled) => {
      try {
        await change.mutateAsync({ params, body: { enabled } });
      } catch (error) {
        tell(t("tasks.notChanged", { name }), error);
      }
    },
    remove: (gone) =>
      confirm({
        title: t("tasks.deleteTitle", { name }),
        text: t("tasks.deleteText"),
        confirm: t("tasks.delete"),
        danger: true,
        act: async () => {
          await remove.mutateAsync({ params });
          await gone?.();
        },
      }),
  };
}

function tell(title: string, error: unknown): void {
  notifications.show({ color: "red", title, message: (error as Error).message, autoClose: 15_000 });
}
