import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { AllTargetsFailed } from "../../agent-cli/pipeline/fan-out.ts";
import { memoryStorage } from "../fakes/memory-storage.ts";
import { key, target, world } from "./world.ts";

/** A source whose artifact is a little larger than `bytes` when it is not compressed. */
function sourceOf(bytes: number) {
  const made = world();
  writeFileSync(join(made.source, "file"), Buffer.alloc(bytes, "0123456789abcdef"));
  const backup = (change: Parameters<typeof made.backup>[0]) =>
    made.backup({ compression: "none", ...change });
  return { ...made, backup };
}

test("all targets get the same bytes, and the hash and size are theirs", async () => {
  const { backup } = sourceOf(20_000_000);
  const [one, two, slow] = [memoryStorage(), memoryStorage(), memoryStorage()];
  slow.delayMs = 20;
  const done = await backup({ targets: [target(1, one), target(2, two), target(3, slow)] });
  expect(done.targets.map(({ status, sizeBytes }) => [status, sizeBytes])).toEqual(
    Array(3).fill(["success", done.sizeBytes]),
  );
  for (const { objects } of [one, two, slow]) {
    const object = objects.get(key) as Buffer;
    expect(object.length).toBe(done.sizeBytes);
    expect(createHash("sha256").update(object).digest("hex")).toBe(done.sha256);
  }
});

test("a target that fails leaves the others going and says why", async () => {
  const { backup } = sourceOf(20_000_000);
  const [broken, good] = [memoryStorage(), memoryStorage()];
  broken.failAfterBytes = 5_000_000;
  const done = await backup({ targets: [target(1, broken), target(2, good)] });
  expect(done.targets).toEqual([
    { id: 1, name: "target-1", status: "failed", sizeBytes: 0, error: "the connection broke" },
    { id: 2, name: "target-2", status: "success", sizeBytes: done.sizeBytes, error: null },
  ]);
  expect(good.objects.get(key)?.length).toBe(done.sizeBytes);
  expect(broken.objects.size).toBe(0);
});

test("when all targets fail, the run fails with all reasons, and stops reading", async () => {
  const { backup, progress } = sourceOf(200_000_000);
  const [one, two] = [memoryStorage(), memoryStorage()];
  one.failAfterBytes = 1_000_000;
  two.failAfterBytes = 9_000_000;
  const failure = await backup({ targets: [target(1, one), target(2, two)] }).catch(
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(AllTargetsFailed);
  expect((failure as Error).message).toBe(
    "no target could store the backup: target-1: the connection broke; target-2: the connection broke",
  );
  expect(progress.at(-1)?.artifactBytes).toBeLessThan(100_000_000);
});

test("a target whose quota is too small fails with a clear text, and nothing appears there", async () => {
  const { backup } = sourceOf(20_000_000);
  const [small, good] = [memoryStorage(), memoryStorage()];
  const done = await backup({ targets: [target(1, small, 6_000_000), target(2, good, 30_000_000)] });
  expect(done.targets[0]).toMatchObject({
    status: "failed",
    error: "the quota of this target is used up: only 6000000 more bytes may be written to it",
  });
  expect(done.targets[1]?.status).toBe("success");
  expect(small.objects.size).toBe(0);
});

test("a target that answers before it has everything is a failure", async () => {
  const { backup } = sourceOf(20_000_000);
  const hasty = memoryStorage();
  const put: typeof hasty.put = async (_key, body) => {
    for await (const chunk of body) return { sizeBytes: chunk.length };
    return { sizeBytes: 0 };
  };
  const lying = memoryStorage();
  const putLess: typeof hasty.put = async (...args) => ({
    sizeBytes: (await lying.put(...args)).sizeBytes - 1,
  });
  const targets = [
    { ...target(1, hasty), storage: { ...hasty, put } },
    { ...target(2, lying), storage: { ...lying, put: putLess } },
  ];
  await expect(backup({ targets })).rejects.toThrow(
    /the upload ended before the backup did; target-2: \d+ bytes were/,
  );
});

test("when the source breaks half-way, no upload is completed", async () => {
  const { backup, storage, source } = sourceOf(1000);
  const database = join(source, "broken.sqlite");
  writeFileSync(database, "not a database at all, but long enough to look like one".repeat(100));
  const ended: string[] = [];
  const put: typeof storage.put = async (_key, body) => {
    try {
      for await (const _ of body);
      ended.push("ended");
    } catch (error) {
      ended.push(String(error));
      throw error;
    }
    return { sizeBytes: 0 };
  };
  const targets = [{ ...target(1, storage), storage: { ...storage, put } }];
  await expect(backup({ source: { type: "sqlite", paths: [database] }, targets })).rejects.toThrow(
    /not a SQLite/,
  );
  expect(ended).toEqual([expect.stringContaining("not a SQLite database")]);
  expect(storage.objects.size).toBe(0);
});

test.each(["zstd", "gzip", "none"] as const)(
  "an abort stops everything with its reason (%s)",
  async (compression) => {
    const { backup, source } = sourceOf(100_000_000);
    const slow = memoryStorage();
    slow.delayMs = 50;
    const controller = new AbortController();
    const running = backup({ compression, targets: [target(1, slow)], signal: controller.signal });
    await sleep(60);
    controller.abort(new Error("cancelled by a person"));
    const abortedAt = performance.now();
    await expect(running).rejects.toThrow("cancelled by a person");
    expect(performance.now() - abortedAt).toBeLessThan(5000);
    expect(slow.objects.size).toBe(0);
    rmSync(source, { recursive: true });
    await expect(backup({ signal: controller.signal })).rejects.toThrow("cancelled by a person");
  },
);

test("no target gets far ahead of the slowest one, so memory stays bounded", async () => {
  const { backup } = sourceOf(100_000_000);
  const taken = { fast: 0, slow: 0 };
  let ahead = 0;
  const counting = (who: "fast" | "slow", pauseMs: number) => ({
    ...memoryStorage(),
    put: async (_key: string, body: AsyncIterable<Uint8Array>) => {
      for await (const chunk of body) {
        if (pauseMs > 0) await sleep(pauseMs);
        taken[who] += chunk.length;
        ahead = Math.max(ahead, taken.fast - taken.slow);
      }
      return { sizeBytes: taken[who] };
    },
  });
  await backup({ targets: [target(1, counting("fast", 0)), target(2, counting("slow", 20))] });
  expect(ahead).toBeLessThan(24 * 1024 * 1024);
});

test("a level that does not exist is refused, as is a backup without targets", async () => {
  const { backup } = sourceOf(10);
  const pipeline = { compression: "zstd" as const, level: 40 };
  await expect(backup({ pipeline })).rejects.toThrow("compression level 40 is not one of zstd (1 to 22)");
  await expect(backup({ targets: [] })).rejects.toThrow(/no storage target/);
});
