import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { Deps } from "../../worker/deps.ts";
import { PRUNING_ROUND_MINUTES, pruneHistory } from "../../worker/sweeps/prune-history.ts";
import { sweepForAMinute, sweepOnce } from "../../worker/sweeps/sweep.ts";
import { type Count, counting } from "./counting.ts";
import { deps } from "./master.ts";

const NOW = Date.now();
const MINUTE = Math.floor(NOW / 60_000) * 60_000;
const DAILY_MINUTE = 167;
const numbers = (upTo: number) =>
  `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${upTo})`;

/** 5,000 nodes (polling, connected, offline and new ones), 20,000 ended commands, 2,000 tasks, and their history. */
const tables = [
  `${numbers(5000)} insert into nodes (name, token_sha256, status, connection, last_seen, created_at, updated_at)
   select 'n' || i, 't' || i,
     case i % 4 when 2 then 'offline' when 3 then 'pending' else 'online' end,
     case i % 4 when 1 then 'socket' when 3 then 'never' else 'poll' end,
     case i % 4 when 0 then ${NOW + 60_000} when 3 then null else 5 end, ${NOW}, ${NOW} from n`,
  `${numbers(20_000)} insert into agent_commands (node_id, type, lane, status, payload, created_at, completed_at, updated_at)
   select 1 + i % 5000, 'run_task', 'work', 'succeeded', '{}', ${NOW}, ${NOW}, ${NOW} from n`,
  `${numbers(500)} insert into agent_commands (node_id, type, lane, status, payload, created_at, updated_at)
   select i, 'run_task', 'work', 'pending', '{}', ${NOW}, ${NOW} from n`,
  `${numbers(500)} insert into agent_commands
     (node_id, type, lane, status, payload, lease_expires_at, created_at, updated_at)
   select i, 'run_task', 'work', 'dispatched', '{}', ${NOW + 60_000}, ${NOW}, ${NOW} from n`,
  `${numbers(2000)} insert into backup_tasks (name, source, pipeline, node_id, schedule, next_run_at, verification, next_verify_at, created_at, updated_at)
   select 't' || i, '{}', '{}', i, '0 2 * * *', case i % 2 when 0 then ${NOW + 300_000} end, '{}', ${NOW + 300_000}, ${NOW}, ${NOW} from n`,
  `${numbers(20_000)} insert into backup_records
     (task_id, task_name, node_id, status, trigger, source_type, compression, source, target_ids, created_at)
   select i % 2000, 't', i % 5000, case i % 3 when 0 then 'failed' else 'success' end, 'schedule', 'file', 'zstd', '{}',
     '[]', ${NOW} from n`,
  `${numbers(20_000)} insert into record_logs (kind, record_id, seq, at, text)
   select case i % 3 when 0 then 'backup' when 1 then 'restore' else 'verification' end, i, 1, ${NOW}, 'line' from n`,
  `${numbers(20_000)} insert into verifications
     (task_id, record_id, target_id, node_id, status, trigger, grade, created_at, finished_at)
   select i % 2000, i, 1, 1, 'success', 'manual', 3, ${NOW}, ${NOW} from n`,
  `${numbers(20_000)} insert into notifications (at, kind, message) select ${NOW}, 'test', 'm' from n`,
  `${numbers(20_000)} insert into audit_logs (at, actor, action, entity) select ${NOW}, 'a', 'b', 'c' from n`,
  `${numbers(2000)} insert into sessions (token_sha256, user_id, created_at, expires_at) select i, 1, 1, ${NOW} + i from n`,
  `${numbers(2000)} insert into install_codes (code_sha256, name, created_at, expires_at) select i, i, 1, ${NOW} + i from n`,
  `${numbers(2000)} insert into login_failures (subject, failures, until) select i, 1, ${NOW} + i from n`,
];

beforeAll(async () => {
  for (const insert of tables) await env.DB.prepare(insert).run();
});

async function countOf(act: (deps: Deps) => Promise<unknown>): Promise<Count> {
  const failed: unknown[] = [];
  const { deps: counted, count } = counting({
    ...deps,
    now: () => NOW,
    sleep: async () => {},
    log: (_, fields) => failed.push(fields),
  });
  await act(counted);
  expect(failed).toEqual([]);
  return count;
}

describe("with 5,000 nodes and long histories", () => {
  it("an idle sweep reads at most 6 rows and writes none", async () => {
    const count = await countOf(sweepOnce);
    expect(count.rowsRead).toBeLessThanOrEqual(6);
    expect(count.rowsWritten).toBe(0);
    expect(count.queries).toBeLessThanOrEqual(4);
  });

  it("an idle minute of four sweeps stays within that, pruning included, whatever the minute", async () => {
    for (let minute = 0; minute < PRUNING_ROUND_MINUTES; minute++) {
      const once = await countOf(sweepOnce);
      const pruning = await countOf((by) => pruneHistory(by, minute));
      expect(once.rowsRead + pruning.rowsRead).toBeLessThanOrEqual(6);
      expect(pruning.rowsWritten).toBe(0);
    }
    const all = await countOf((by) => sweepForAMinute(by, MINUTE));
    expect(all.rowsRead).toBeLessThanOrEqual(24);
    expect(all.rowsWritten).toBe(0);
    // The free plan allows 50 in one go.
    expect(all.queries).toBeLessThanOrEqual(18);
  });

  it("once a day compares the nodes, and writes nothing", async () => {
    const count = await countOf((by) => sweepForAMinute(by, DAILY_MINUTE * 60_000));
    expect(count.rowsRead).toBeGreaterThan(1000);
    expect(count.rowsRead).toBeLessThanOrEqual(5100);
    expect(count.rowsWritten).toBe(0);
  });

  it("a chunk of old history costs what the chunk does, not what the history does", async () => {
    await env.DB.batch([
      env.DB.prepare("update agent_commands set created_at = 5, completed_at = 5 where id <= 700"),
      env.DB.prepare("update audit_logs set at = 5 where id <= 700"),
      env.DB.prepare("update record_logs set at = 5 where record_id <= 700"),
    ]);
    for (let minute = 0; minute < PRUNING_ROUND_MINUTES; minute++) {
      const pruning = await countOf((by) => pruneHistory(by, minute));
      expect(pruning.rowsRead).toBeLessThanOrEqual(5 * 500);
      expect(pruning.rowsWritten).toBeLessThanOrEqual(500);
    }
  });
});
