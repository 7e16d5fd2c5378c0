import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import type { z } from "zod";
import { adminApi } from "../../protocol/index.ts";
import { type Administrator, administrator, type ReplyOf } from "./administrator.ts";
import { installAgent } from "./installed-agent.ts";
import { type Machine, makeMachine } from "./machine.ts";
import { startMaster, type VaultObject } from "./master.ts";
import { until } from "./until.ts";

type OnEnd = (cleanUp: () => Promise<void>) => void;

/** One real master for a file of tests, and as many machines with real agents as its tests want. */
export type World = Administrator & {
  url: URL;
  folder: string;
  agentEntry: string;
  /** Rows of the master's database. */
  rows<T = Record<string, unknown>>(sql: string, ...values: unknown[]): Promise<T[]>;
  change(sql: string, ...values: unknown[]): Promise<void>;
  /** Fires the cron, as each minute does. */
  sweep(): Promise<void>;
  vaultKeys(): Promise<string[]>;
  vaultObjects(prefix: string): Promise<VaultObject[]>;
  /** A node of this test alone, with its machine; the agent is not started yet. */
  machine(onEnd: OnEnd, node?: z.input<typeof adminApi.createNode.body>): Promise<Machine>;
  target(type: "vault" | "local_disk", config?: Record<string, unknown>): Promise<number>;
  task(
    machine: Pick<Machine, "nodeId">,
    task: Pick<z.input<typeof adminApi.createTask.body>, "source" | "targetIds"> &
      Partial<z.input<typeof adminApi.createTask.body>>,
  ): Promise<number>;
  run(taskId: number): Promise<{ recordId: number; commandId: number }>;
  record(id: number): Promise<ReplyOf<typeof adminApi.getRecord>>;
  /** The record once it has ended. */
  endOf(recordId: number): Promise<ReplyOf<typeof adminApi.getRecord>>;
  endOfRestore(restoreId: number): Promise<ReplyOf<typeof adminApi.getRestore>>;
  logOf(recordId: number): Promise<string>;
  /** That a record has one copy, counted once into its target's use, which nothing else shares. */
  expectCountedOnce(recordId: number): Promise<void>;
  online(machine: Pick<Machine, "nodeId">): Promise<void>;
  close(): Promise<void>;
};

export async function startWorld(): Promise<World> {
  const folder = mkdtempSync(path.join(tmpdir(), "backupx-e2e-"));
  const agentEntry = await installAgent(path.join(folder, "agent")).catch((error) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const master = await startMaster();
  const { url, DB, VAULT } = master;
  const { ask, call } = await administrator(url);
  let names = 0;

  const world: World = {
    url,
    folder,
    agentEntry,
    ask,
    call,
    rows: async <T>(sql: string, ...values: unknown[]) =>
      (
        await DB.prepare(sql)
          .bind(...values)
          .all<T>()
      ).results,
    change: async (sql, ...values) => {
      await DB.prepare(sql)
        .bind(...values)
        .run();
    },
    sweep: master.sweep,
    vaultKeys: async () => (await VAULT.list()).objects.map(({ key }) => key),
    vaultObjects: async (prefix) => (await VAULT.list({ prefix })).objects,
    async machine(onEnd, node) {
      const made = await world.call(adminApi.createNode, {
        body: { maxConcurrent: 1, ...node, name: node?.name ?? `node-${++names}` },
      });
      const place = path.join(folder, `machine-${made.node.id}`);
      const { token, node: created } = made;
      return makeMachine({ entry: agentEntry, master: url, folder: place, node: created, token, onEnd });
    },
    async target(type, config = {}) {
      const name = `${type}-${++names}`;
      return (await world.call(adminApi.createTarget, { body: { name, type, config } })).id;
    },
    async task(machine, task) {
      const body = { name: `task-${++names}`, nodeId: machine.nodeId, ...task };
      return (await world.call(adminApi.createTask, { body })).id;
    },
    run: (taskId) => world.call(adminApi.runTask, { params: { id: taskId } }),
    record: (id) => world.call(adminApi.getRecord, { params: { id } }),
    endOf: (id) =>
      until(`record ${id} to end`, async () => ended(await world.record(id)), {
        seen: async () => ({ record: await world.record(id), log: await world.logOf(id) }),
      }),
    endOfRestore: (id) =>
      until(`restore ${id} to end`, async () =>
        ended(await world.call(adminApi.getRestore, { params: { id } })),
      ),
    async logOf(id) {
      const { lines } = await world.call(adminApi.recordLog, { params: { id } });
      return lines.map(({ text }) => text).join("");
    },
    async expectCountedOnce(id) {
      const { copies, sizeBytes } = await world.record(id);
      const used = await world.rows<{ used_bytes: number }>(
        "select used_bytes from storage_targets where id = ?",
        copies[0]?.targetId,
      );
      expect(copies).toHaveLength(1);
      expect(used).toEqual([{ used_bytes: sizeBytes }]);
    },
    async online({ nodeId }) {
      await until(
        `node ${nodeId} to be online`,
        async () => (await world.call(adminApi.getNode, { params: { id: nodeId } })).status === "online",
      );
    },
    async close() {
      await master.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return world;
}

const ended = <T extends { status: string }>(run: T): T | null =>
  run.status === "queued" || run.status === "running" ? null : run;

/** A folder with files of random bytes, of that many KiB together. */
export function sourceFolder(machine: Pick<Machine, "folder">, kib: number, name = "source"): string {
  const folder = path.join(machine.folder, name);
  mkdirSync(path.join(folder, "deep/er"), { recursive: true });
  const part = Math.max(1, Math.floor((kib * 1024) / 4));
  for (let file = 0; file < 3; file++)
    writeFileSync(path.join(folder, `file-${file}.bin`), randomBytes(part));
  writeFileSync(path.join(folder, "deep/er/ünïcode ✓.bin"), randomBytes(part));
  writeFileSync(path.join(folder, "empty"), "");
  return folder;
}
