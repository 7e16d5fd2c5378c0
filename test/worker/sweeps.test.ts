import { createExecutionContext, createScheduledController, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import type { Deps } from "../../worker/deps.ts";
import worker from "../../worker/index.ts";
import { PRUNING_ROUND_MINUTES, pruneHistory } from "../../worker/sweeps/prune-history.ts";
import { sweepForAMinute, sweepOnce } from "../../worker/sweeps/sweep.ts";
import { aNode, asRole, aTask, call, deps, everyRow } from "./master.ts";
import { count, insert, set, taskRow, unique } from "./rows.ts";
import { idle } from "./runs.ts";

const DAY = 86_400_000;
const at = (now: number): Deps => ({ ...deps, now: () => now });

/** A Doorbell that is away: nothing it does reaches anybody, nothing is known of sockets. */
const nobody: Deps["bell"] = {
  ring: async () => {},
  kick: async () => {},
  lastSeen: async () => new Map(),
  census: async () => [],
  acknowledge: async () => {},
  expect: async () => {},
  open: async () => {
    throw new Error("away");
  },
};

describe("a minute of sweeps", () => {
  /** When a handler that starts at `now` sweeps, in seconds after the minute; its clock moves only by waiting. */
  async function sweepTimes(now: number): Promise<number[]> {
    const times: number[] = [];
    let clock = now;
    const bell = {
      ...nobody,
      census: async () => {
        times.push(clock / 1000);
        return [];
      },
    };
    const sleep = async (milliseconds: number) => {
      clock += milliseconds;
    };
    await sweepForAMinute({ ...deps, bell, now: () => clock, sleep }, 0);
    return times;
  }

  it("has four, 15 s apart", async () => {
    expect(await sweepTimes(0)).toEqual([0, 15, 30, 45]);
    expect(await sweepTimes(3000)).toEqual([3, 15, 30, 45]);
  });

  it("leaves out those whose time is over, but never all of them", async () => {
    expect(await sweepTimes(16_000)).toEqual([16, 30, 45]);
    expect(await sweepTimes(59_000)).toEqual([59]);
    expect(await sweepTimes(3_600_000)).toEqual([3600]);
  });

  it("is what the cron handler does", async () => {
    const node = await aNode();
    await set("nodes", node.id, { last_seen: 5 });
    const context = createExecutionContext();
    const longAgo = createScheduledController({
      scheduledTime: new Date(Date.now() - 3_600_000),
      cron: "* * * * *",
    });
    await worker.scheduled(longAgo, env);
    await waitOnExecutionContext(context);
    expect(await count("nodes where id = ? and status = 'offline'", node.id)).toBe(1);
  });
});

describe("a sweep", () => {
  it("changes nothing the second time", async () => {
    const node = await aNode();
    await set("nodes", node.id, { last_seen: 5 });
    await taskRow(node.id, { schedule: "0 2 * * *", next_run_at: Date.now() - 1000 });
    const frozen = at(Date.now());
    await sweepOnce(frozen);
    const once = await everyRow();
    await sweepOnce(frozen);
    expect(await everyRow()).toEqual(once);
  });

  it("does each thing once when several run at the same time", async () => {
    const node = await aNode();
    await set("nodes", node.id, { last_seen: 5 });
    const task = await taskRow(node.id, { schedule: "0 2 * * *", next_run_at: Date.now() - 1000 });
    await Promise.all(Array.from({ length: 6 }, () => sweepOnce(deps)));
    expect(await count("notifications where node_id = ? and kind = 'node_offline'", node.id)).toBe(1);
    expect(await count("backup_records where task_id = ?", task)).toBe(1);
    expect(await count("agent_commands where node_id = ?", node.id)).toBe(1);
  });

  it("still does the rest when a part fails", async () => {
    const node = await aNode();
    await set("nodes", node.id, { last_seen: 5 });
    const task = await taskRow(node.id, { schedule: "0 2 * * *", next_run_at: Date.now() - 1000 });
    const logged: unknown[] = [];
    const broken = {
      ...nobody,
      census: async () => {
        throw new Error("no answer");
      },
    };
    await sweepOnce({ ...deps, bell: broken, log: (_, fields) => logged.push(fields) });
    expect(logged).toEqual([{ part: "presence", error: "Error: no answer" }]);
    expect(await count("nodes where id = ? and status = 'offline'", node.id)).toBe(1);
    expect(await count("backup_records where task_id = ?", task)).toBe(1);
  });

  it("decides offline at most 15 s after 45 s of silence, whenever it falls", async () => {
    const now = Date.now();
    for (let secondsAfterSweep = 0; secondsAfterSweep < 15; secondsAfterSweep += 2) {
      const node = await aNode();
      await set("nodes", node.id, { last_seen: now + secondsAfterSweep * 1000 });
      for (let sweep = now; ; sweep += 15_000) {
        await sweepOnce(at(sweep));
        if ((await count("nodes where id = ? and status = 'offline'", node.id)) === 0) continue;
        const silence = sweep - now - secondsAfterSweep * 1000;
        expect(silence).toBeGreaterThan(45_000);
        expect(silence).toBeLessThanOrEqual(60_000);
        break;
      }
    }
  });

  it("with the Doorbell dead leaves everything working: a run is queued, polled and swept", async () => {
    const node = await aNode({ ours: true });
    const task = await aTask(node);
    await sweepOnce({ ...deps, bell: nobody });
    const run = await call(await asRole("operator"), adminApi.runTask, { params: { id: task.id } });
    const polled = await call(node.headers, agentApi.poll, { body: idle });
    expect(polled.data.commands?.map(({ id }) => id)).toEqual([run.data.commandId]);
  });
});

describe("history", () => {
  const now = Date.now();
  const old = now - deps.config.historyMs - DAY;

  // Older rows have lower ids; what other tests left is newer than what these make.
  beforeEach(async () => {
    const tables = ["agent_commands", "audit_logs", "notifications", "record_logs"];
    await env.DB.batch(tables.map((table) => env.DB.prepare(`delete from ${table}`)));
  });

  async function pruneAll(): Promise<void> {
    for (let minute = 0; minute < PRUNING_ROUND_MINUTES; minute++) await pruneHistory(at(now), minute);
  }

  it("is kept for its days and then deleted, oldest first, what has not ended excepted", async () => {
    const node = await aNode();
    const command = (columns: Record<string, unknown>) =>
      insert("agent_commands", {
        node_id: node.id,
        type: "list_dir",
        lane: "control",
        payload: "{}",
        updated_at: 1,
        ...columns,
      });
    const notification = (time: number) =>
      insert("notifications", { at: time, kind: "test", node_id: node.id, message: "m" });
    const audit = (time: number) =>
      insert("audit_logs", { at: time, actor: "a", action: "test", entity: "e", entity_id: node.id });
    await command({ created_at: old, completed_at: null });
    await command({ created_at: old, completed_at: old });
    await command({ created_at: old, completed_at: now });
    await command({ created_at: now, completed_at: now });
    for (const time of [old, now]) {
      await notification(time);
      await audit(time);
      await logLine("backup", node.id, time);
      await logLine("restore", node.id, time);
    }
    await pruneAll();
    expect(await count("agent_commands where node_id = ?", node.id)).toBe(3);
    expect(await count("agent_commands where node_id = ? and completed_at = ?", node.id, old)).toBe(0);
    expect(await count("notifications where node_id = ? and at = ?", node.id, old)).toBe(0);
    expect(await count("notifications where node_id = ?", node.id)).toBe(1);
    expect(await count("audit_logs where entity_id = ? and action = 'test'", node.id)).toBe(1);
    expect(await count("record_logs where record_id = ?", node.id)).toBe(2);
    expect(await count("record_logs where record_id = ? and at = ?", node.id, old)).toBe(0);
  });

  it("forgets uploads that the vault itself has dropped by now", async () => {
    const upload = (id: string, time: number) =>
      env.DB.prepare(
        "insert into vault_uploads (upload_id, record_id, key, created_at) values (?1, ?2, 'k', ?2)",
      )
        .bind(id, time)
        .run();
    const [dropped, young] = [unique("dropped"), unique("young")];
    await upload(dropped, now - 11 * DAY);
    await upload(young, now - 9 * DAY);
    await pruneAll();
    expect(await count("vault_uploads where upload_id = ?", dropped)).toBe(0);
    expect(await count("vault_uploads where upload_id = ?", young)).toBe(1);
  });

  it("is deleted in bounded chunks", async () => {
    await env.DB.prepare(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < 1200)
       insert into notifications (at, kind, message) select ?, 'test', 'm' from n`,
    )
      .bind(old)
      .run();
    const left = [];
    for (let round = 0; round < 3; round++) {
      await pruneAll();
      left.push(await count("notifications"));
    }
    expect(left, "the newest stays: an emptied table would give its ids out again").toEqual([700, 200, 1]);
  });

  it("takes expired codes, sessions and counts of failed sign-ins with it a day later", async () => {
    const name = unique("expired");
    for (const [end, kept] of [
      [now - 2 * DAY, 0],
      [now - DAY / 2, 1],
      [now + DAY, 1],
    ] as const) {
      const mark = unique(name);
      await insert("install_codes", { code_sha256: mark, name: mark, created_at: 1, expires_at: end });
      await env.DB.prepare(
        "insert into sessions (token_sha256, user_id, created_at, expires_at) values (?, 1, 1, ?)",
      )
        .bind(mark, end)
        .run();
      await env.DB.prepare("insert into login_failures (subject, failures, until) values (?, 1, ?)")
        .bind(mark, end)
        .run();
      await pruneAll();
      expect(await count("install_codes where name = ?", mark)).toBe(kept);
      expect(await count("sessions where token_sha256 = ?", mark)).toBe(kept);
      expect(await count("login_failures where subject = ?", mark)).toBe(kept);
    }
  });
});

let seq = 0;
const logLine = (kind: string, runId: number, time: number) =>
  env.DB.prepare("insert into record_logs (kind, record_id, seq, at, text) values (?, ?, ?, ?, 'line')")
    .bind(kind, runId, ++seq, time)
    .run();
