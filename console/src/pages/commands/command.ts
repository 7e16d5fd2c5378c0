import type { z } from "zod";
import type { adminApi } from "../../../../protocol/admin-api.ts";

export type Command = z.output<typeof adminApi.listCommands.reply>["items"][number];
