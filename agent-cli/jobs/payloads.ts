import { z } from "zod";
import type { DeliveredCommand } from "../../protocol/agent-api.ts";
import {
  archiveIndex,
  bandwidth,
  type DatabasePlace,
  databasePlaces,
  databaseServers,
  id,
  source,
} from "../../protocol/objects.ts";
import { compression } from "../../protocol/states.ts";
import type { Subject } from "../journal.ts";

const storage = {
  targetType: z.string().min(1).max(64),
  targetConfig: z.record(z.string(), z.unknown()),
  bandwidthBytesPerSecond: bandwidth.default(null),
};

/** What each command carries. */
export const payloads = {
  run_task: z.object({ taskId: id, recordId: id }),
  restore_record: z.object({ restoreRecordId: id }),
  list_dir: z.object({ path: z.string().max(4096) }),
  delete_storage_object: z.object({
    ...storage,
    storagePath: z.string().min(1).max(1024),
    resticPassword: z.string().nullish(),
  }),
  copy_record: z.object({ recordId: id }),
  test_target: z.object(storage),
  verify_record: z.object({ verificationId: id }),
  preview_source: z.object({ source, sourceSecrets: z.object({ password: z.string().nullable() }) }),
  inspect_archive: z.object({
    ...storage,
    storagePath: z.string().min(1).max(1024),
    sizeBytes: z.int().nonnegative(),
    checksum: z.string().nullable(),
    archiveIndex: archiveIndex.nullable(),
    compression,
    encrypted: z.boolean(),
    identityFile: z.string().nullable(),
    path: z.string().max(4096),
    name: z.string().nullable(),
    after: z.string().nullable(),
    limit: z.int().min(1).max(1000),
    resticPassword: z.string().nullish(),
  }),
};

export type Inspection = z.output<typeof payloads.inspect_archive>;

/** `server` has all its settings; a master that knows less of servers sends only the other fields. */
const discovery = z.object({
  type: z.string(),
  host: z.string().optional(),
  port: z.int().optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  server: databasePlaces.optional(),
});

export class PayloadError extends Error {}

export function readPayload<T>(schema: z.ZodType<T>, payload: unknown): T {
  const parsed = schema.safeParse(payload);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  // Names the field and never its value: payloads may hold a storage's secrets.
  throw new PayloadError(
    `invalid payload: ${issue?.path.join(".") || "it"}: ${issue?.message ?? "is wrong"}`,
  );
}

/** Which server to ask and its password, or where to look. */
export function readDiscovery(payload: unknown): { server: DatabasePlace; password: string | null } {
  const { server, password, ...known } = readPayload(discovery, payload);
  return { server: server ?? readPayload(databaseServers, known), password: password || null };
}

/** The record, restore, copy or verification that a command works on, as far as its payload tells. */
export function subjectOf({ id, type, payload }: DeliveredCommand): Subject {
  const run = payloads.run_task.safeParse(payload);
  if (type === "run_task" && run.success) return { kind: "record", id: run.data.recordId };
  const restore = payloads.restore_record.safeParse(payload);
  if (type === "restore_record" && restore.success) {
    return { kind: "restore", id: restore.data.restoreRecordId };
  }
  if (type === "copy_record") return { kind: "copy", id };
  const verification = payloads.verify_record.safeParse(payload);
  if (type === "verify_record" && verification.success) {
    return { kind: "verification", id: verification.data.verificationId };
  }
  return { kind: "none" };
}
