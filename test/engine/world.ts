import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import { runBackup } from "../../agent-cli/pipeline/backup.ts";
import type {
  BackupJob,
  BackupResult,
  Compression,
  Progress,
  RestoreJob,
  RestoreResult,
  SourceSpec,
} from "../../agent-cli/pipeline/pipeline.ts";
import { runRestore } from "../../agent-cli/pipeline/restore.ts";
import { type MemoryStorage, memoryStorage } from "../fakes/memory-storage.ts";

const made: string[] = [];

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** An own directory for one test, removed after it. */
export function scratch(below = tmpdir()): string {
  const path = mkdtempSync(join(below, "engine-"));
  made.push(path);
  return path;
}

/** One test's world: a source directory, a destination that does not exist yet, a storage, a log. */
export function world(below = tmpdir()) {
  const root = scratch(below);
  const source = join(root, "source");
  const destination = join(root, "destination");
  mkdirSync(source);
  const storage = memoryStorage();
  const logs: string[] = [];
  const progress: Progress[] = [];
  const report = {
    progress: (current: Progress) => void progress.push(current),
    log: (_level: string, text: string) => void logs.push(text),
  };
  let works = 0;
  const workDir = () => {
    works += 1;
    const path = join(root, `work-${works}`);
    mkdirSync(path, { mode: 0o700 });
    return path;
  };
  const files = (paths = [source]): SourceSpec => ({
    type: "file",
    paths,
    excludes: [],
    oneFileSystem: false,
  });
  const backup = (change: Partial<BackupJob> & { compression?: Compression } = {}): Promise<BackupResult> =>
    runBackup({
      source: files(),
      pipeline: { compression: change.compression ?? "zstd", level: null },
      targets: [target(1, storage)],
      workDir: workDir(),
      report,
      signal: new AbortController().signal,
      ...change,
    });
  const restore = (change: Partial<RestoreJob> = {}): Promise<RestoreResult> =>
    runRestore({
      sourceType: "file",
      compression: "zstd",
      storage,
      key,
      expected: { sha256: null, sizeBytes: null },
      destination,
      selectedPaths: null,
      conflict: "fail",
      workDir: workDir(),
      report,
      signal: new AbortController().signal,
      ...change,
    });
  /** Where a source path ends up below the destination. */
  const restored = (path = source) => join(destination, path);
  return {
    root,
    source,
    destination,
    restored,
    storage,
    logs,
    progress,
    report,
    workDir,
    files,
    backup,
    restore,
  };
}

export const key = "artifact";

export const target = (id: number, storage: MemoryStorage, quotaRemainingBytes: number | null = null) => ({
  id,
  name: `target-${id}`,
  storage,
  key,
  quotaRemainingBytes,
});

/** Expects one tree to be as another in everything that a restore must bring back; of times, to a microsecond. */
export function expectSameTree(actual: string, expected: string, toleranceNs = 1000n): void {
  const [restored, original] = [describeTree(actual), describeTree(expected)];
  expect(restored.lines).toEqual(original.lines);
  const late = original.times.filter((time, i) => distance(time, restored.times[i] ?? 0n) > toleranceNs);
  expect(late).toEqual([]);
}

const distance = (a: bigint, b: bigint): bigint => (a < b ? b - a : a - b);

function describeTree(root: string): { lines: string[]; times: bigint[] } {
  const lines: string[] = [];
  const times: bigint[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, name: string) => {
    const stat = lstatSync(path, { bigint: true });
    times.push(stat.mtimeNs);
    const parts = [JSON.stringify(name), stat.mode.toString(8), stat.uid, stat.gid];
    if (stat.isSymbolicLink()) parts.push(readlinkSync(path, "latin1"));
    if (stat.isFile()) {
      parts.push(stat.size, stat.size < 64n * 1024n * 1024n ? sha256(path) : "large");
      const first = inodes.get(stat.ino);
      if (first) parts.push(`= ${first}`);
      else inodes.set(stat.ino, name);
    }
    lines.push(parts.join(" "));
    if (!stat.isDirectory()) return;
    const names = readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare);
    for (const child of names)
      visit(Buffer.concat([path, Buffer.from("/"), child]), `${name}/${child.toString("latin1")}`);
  };
  visit(Buffer.from(root), "");
  return { lines, times };
}

const sha256 = (path: Buffer): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Runs a program of the system and returns what it printed; throws with its own words when it fails. */
export function run(program: string, args: string[], input?: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    ...(input ? { input } : {}),
    maxBuffer: 1024 * 1024 * 1024,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} exited with ${status}: ${stderr}`);
  return stdout;
}

export const isRoot = process.geteuid?.() === 0;
