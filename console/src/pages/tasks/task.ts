import type { z } from "zod";
import type { adminApi } from "../../../../protocol/admin-api.ts";

/** A task as lists show it. */
export type Task = z.output<typeof adminApi.listTasks.reply>["items"][number];
/** A task as its own page shows it. */
export type TaskDetail = z.output<typeof adminApi.getTask.reply>;
