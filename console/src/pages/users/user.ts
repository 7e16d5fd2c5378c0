import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";

export type User = z.output<typeof adminApi.listUsers.reply>["items"][number];
