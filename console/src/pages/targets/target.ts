import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";

export type Target = z.output<typeof adminApi.getTarget.reply>;
