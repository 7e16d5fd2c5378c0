import { globSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/** How much of everything there is. */
export type Size = { nodes: number; tasks: number; records: number };

const DAY_MS = 86_400_000;
const YEARS_MS = 3 * 365 * DAY_MS;

/** Writes years of a fleet's life straight into a local master's database; the master must be stopped. */
export function writeHistory(stateDir: string, from: Size, to: Size): void {
  const db = new DatabaseSync(databaseIn(stateDir));
  db.exec("pragma journal_mode = wal; pragma synchronous = off; begin");
  for (const statement of statements(from, to, Date.now())) db.exec(statement);
  db.exec("commit; pragma wal_checkpoint(truncate)");
  db.close();
}

function databaseIn(stateDir: string): string {
  for (const file of globSync("**/d1/**/*.sqlite", { cwd: stateDir })) {
    const db = new DatabaseSync(path.join(stateDir, file));
    const has = db.prepare("select 1 from sqlite_master where name = 'backup_records'").get();
    db.close();
    if (has) return path.join(stateDir, file);
  }
  throw new Error(`${stateDir} holds no database of a master`);
}

const numbers = (from: number, to: number) =>
  `with recursive n(i) as (select ${from + 1} union all select i + 1 from n where i < ${to})`;

function statements(from: Size, to: Size, now: number): string[] {
  // The same share of each table at both sizes; ids and times go up together, as they do in life.
  const at = (of: number) => `(${now - YEARS_MS} + cast(${YEARS_MS} * (i * 1.0 / ${of}) as integer))`;
  const each = (share: number) => numbers(Math.floor(from.records * share), Math.floor(to.records * share));
  const nodeOf = `(1 + i % ${to.nodes})`;
  const taskOf = `(1 + i % ${to.tasks})`;
  return [
    `${numbers(from.nodes, to.nodes)} insert into nodes
       (name, token_sha256, status, connection, last_seen, hostname, ip_address, os, arch, agent_version, labels,
        created_at, updated_at)
     select printf('server-%05d', i), 't' || i, iif(i % 50 = 0, 'offline', 'online'), 'poll',
       iif(i % 50 = 0, ${now - DAY_MS}, ${now + DAY_MS}), printf('host-%05d.example', i),
       printf('10.%d.%d.%d', i / 65536, i / 256 % 256, i % 256), 'Debian GNU/Linux 13', 'x64', '0.1.0',
       iif(i % 20 = 0, '["database"]', '["web"]'), ${now}, ${now} from n`,
    `${numbers(from.tasks, to.tasks)} insert into backup_tasks
       (name, source, pipeline, node_id, tags, enabled, verified_at, created_at, updated_at)
     select printf('task %05d', i), '{"type":"file","paths":["/srv"],"excludes":[]}', '{}', ${nodeOf},
       iif(i % 100 = 0, '["weekly"]', '["daily"]'), i % 40 <> 0, iif(i % 10 = 0, null, ${now}), ${now}, ${now} from n`,
    `${numbers(from.tasks, to.tasks)} insert into task_tags (tag, task_id)
     select iif(i % 100 = 0, 'weekly', 'daily'), i from n`,
    `${numbers(from.tasks, to.tasks)} insert into task_targets (task_id, target_id, position) select i, 1, 0 from n`,
    `${each(1)} insert into backup_records
       (task_id, task_name, node_id, status, trigger, source_type, compression, source, target_ids, kind, size_bytes,
        source_bytes, entries, created_at, started_at, finished_at)
     select ${taskOf}, printf('task %05d', ${taskOf}), 1 + (i % ${to.tasks}) % ${to.nodes},
       case when i % 70 = 0 then 'failed' when i % 900 = 0 then 'cancelled' else 'success' end, 'schedule', 'file',
       'zstd', '{"type":"file","paths":["/srv"],"excludes":[]}', '[1]', iif(i % 3 = 0, 'differential', 'full'),
       i % 9000000, i % 9000000 * 3, i % 5000, ${at(to.records)}, ${at(to.records)}, ${at(to.records)} + 60000 from n`,
    `${each(1)} insert into record_copies
       (record_id, target_id, target_name, status, storage_path, size_bytes, updated_at)
     select i, 1, 'vault', 'stored', 'records/' || i, i % 9000000, ${at(to.records)} from n`,
    `${each(1)} insert into agent_commands
       (node_id, type, lane, status, payload, record_id, created_at, completed_at, updated_at)
     select ${nodeOf}, 'run_task', 'work', iif(i % 70 = 0, 'failed', 'succeeded'), '{}', i, ${at(to.records)},
       ${at(to.records)} + 60000, ${at(to.records)} from n`,
    `${each(0.02)} insert into restore_records (record_id, target_id, node_id, status, conflict, created_at)
     select i, 1, ${nodeOf}, iif(i % 30 = 0, 'failed', 'success'), 'fail', ${at(to.records * 0.02)} from n`,
    `${each(0.1)} insert into verifications
       (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
     select ${taskOf}, i, 1, ${nodeOf}, 'success', 'schedule', 3, ${at(to.records * 0.1)} from n`,
    `${each(0.2)} insert into audit_logs (at, actor, action, entity, entity_id)
     select ${at(to.records * 0.2)}, 'admin', 'task.update', 'task', ${taskOf} from n`,
    `${each(0.05)} insert into notifications (at, kind, node_id, record_id, message)
     select ${at(to.records * 0.05)}, 'backup_failed', ${nodeOf}, i, 'a backup has failed' from n`,
  ];
}
