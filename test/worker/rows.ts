import { env } from "cloudflare:workers";
import { timing } from "../../protocol/index.ts";
import { randomHex } from "../../worker/secrets/hash.ts";

// Rows written straight into the tables, for arranging what a test is not about.

export const unique = (text: string) => `${text}-${randomHex(6)}`;

export async function set(table: string, id: number, columns: Record<string, unknown>): Promise<void> {
  const names = Object.keys(columns);
  await env.DB.prepare(`update ${table} set ${names.map((name) => `${name} = ?`).join(", ")} where id = ?`)
    .bind(...Object.values(columns), id)
    .run();
}

export async function insert(table: string, columns: Record<string, unknown>): Promise<number> {
  const names = Object.keys(columns);
  const row = await env.DB.prepare(
    `insert into ${table} (${names.join(", ")}) values (${names.map(() => "?").join(", ")}) returning id`,
  )
    .bind(...Object.values(columns))
    .first<{ id: number }>();
  return row?.id ?? 0;
}

/** As if the agent had said nothing of a command for as long as is waited, and a second more. */
export const silence = (commandId: number) =>
  set("agent_commands", commandId, {
    lease_expires_at: Date.now() - (timing.silentCommandSeconds - timing.leaseSeconds + 1) * 1000,
  });

/** How many rows; `rows` is what follows `from`. */
export async function count(rows: string, ...values: unknown[]): Promise<number> {
  const row = await env.DB.prepare(`select count(*) as n from ${rows}`)
    .bind(...values)
    .first<{ n: number }>();
  return row?.n ?? -1;
}

export const taskRow = (nodeId: number | null, columns: Record<string, unknown> = {}) =>
  insert("backup_tasks", {
    name: unique("task"),
    source: JSON.stringify({ type: "file", paths: ["/etc"], excludes: [], oneFileSystem: false }),
    pipeline: JSON.stringify({ compression: "gzip", level: null, bandwidthBytesPerSecond: null }),
    node_id: nodeId,
    created_at: 1,
    updated_at: 1,
    ...columns,
  });

export const recordRow = (taskId: number, nodeId: number, columns: Record<string, unknown> = {}) =>
  insert("backup_records", {
    task_id: taskId,
    task_name: "t",
    node_id: nodeId,
    status: "success",
    trigger: "manual",
    source_type: "file",
    compression: "gzip",
    source: "{}",
    target_ids: "[]",
    created_at: 1,
    ...columns,
  });

export const targetRow = (type: string, columns: Record<string, unknown> = {}) =>
  insert("storage_targets", {
    name: unique("target"),
    type,
    config: "{}",
    seal_id: randomHex(8),
    created_at: 1,
    updated_at: 1,
    ...columns,
  });

export const copyRow = (recordId: number, targetId: number, status = "success") =>
  env.DB.prepare(
    "insert into record_copies (record_id, target_id, target_name, status, updated_at) values (?, ?, 't', ?, 1)",
  )
    .bind(recordId, targetId, status)
    .run();
