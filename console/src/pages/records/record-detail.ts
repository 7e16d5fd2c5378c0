import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";

export type RecordDetail = z.output<typeof adminApi.getRecord.reply>;
export type Copy = RecordDetail["copies"][number];
