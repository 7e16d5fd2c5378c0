import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";

export type AuditEntry = z.output<typeof adminApi.listAudit.reply>["items"][number];
