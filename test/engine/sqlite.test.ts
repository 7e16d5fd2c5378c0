import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { artifactExtension } from "../../agent-cli/pipeline/backup.ts";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { leftBeside } from "../../agent-cli/pipeline/unfinished-file.ts";
import { testWith } from "../needs.ts";
import { isRoot, key, run, world } from "./world.ts";

const sqlite = (...paths: string[]): SourceSpec => ({ type: "sqlite", paths });

function makeDatabase(path: string, rows = 1000): string {
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE entry (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT)");
  const insert = database.prepare("INSERT INTO entry (amount, filler) VALUES (?, ?)");
  database.exec("BEGIN");
  for (let i = 0; i < rows; i += 1) insert.run(0, `row ${i} `.repeat(20));
  database.exec("COMMIT");
  database.close();
  return path;
}

const rowsOf = (path: string): { rows: number; sum: number } => {
  const database = new DatabaseSync(path);
  const row = database.prepare("SELECT count(*) AS rows, coalesce(sum(amount), 0) AS sum FROM entry").get();
  database.close();
  return { rows: Number(row?.rows), sum: Number(row?.sum) };
};

let writer: ChildProcess | null = null;
afterEach(() => {
  writer?.kill("SIGKILL");
  writer = null;
});

async function startWriter(path: string, mode: "WAL" | "DELETE"): Promise<void> {
  writer = fork(fileURLToPath(new URL("./write-database.mjs", import.meta.url)), [path, mode]);
  await once(writer, "message");
}

test.each(["WAL", "DELETE"] as const)(
  "a consistent copy while another process writes without a pause (%s)",
  async (mode) => {
    const { source, destination, backup, restore } = world();
    const path = makeDatabase(join(source, "busy.db"), 20_000);
    await startWriter(path, mode);
    for (let round = 0; round < 3; round += 1) {
      const expected = await backup({ source: sqlite(path) });
      const place = `${destination}-${round}.db`;
      await restore({ sourceType: "sqlite", expected, destination: place });
      const { rows, sum } = rowsOf(place);
      expect(rows).toBeGreaterThanOrEqual(20_000);
      expect(rows % 2).toBe(0);
      expect(sum).toBe(0);
    }
    expect(writer?.exitCode).toBe(null);
  },
);

testWith(["sqlite3", "zstd"], "one database is a plain file that the standard tools read", async () => {
  const { root, source, storage, backup } = world();
  const path = makeDatabase(join(source, "app.db"));
  await backup({ source: sqlite(path) });
  const out = join(root, "out.sqlite");
  writeFileSync(out, run("zstd", ["-dc"], storage.objects.get(key)));
  expect(run("sqlite3", [out, "PRAGMA integrity_check; SELECT count(*) FROM entry"]).toString()).toBe(
    "ok\n1000\n",
  );
});

test("what is still in the write-ahead log is in the backup, and the source's files stay as they were", async () => {
  const { source, destination, backup, restore } = world();
  const path = makeDatabase(join(source, "app.db"), 10);
  const writing = new DatabaseSync(path);
  writing.exec(
    "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; INSERT INTO entry (amount) VALUES (7)",
  );
  const before = readdirSync(source);
  await backup({ source: sqlite(path) });
  expect(readdirSync(source)).toEqual(before);
  writing.close();
  await restore({ sourceType: "sqlite", destination: `${destination}.db` });
  expect(rowsOf(`${destination}.db`)).toEqual({ rows: 11, sum: 7 });
});

test("a database that nobody has open keeps its files, bytes and time", async () => {
  const { source, backup } = world();
  const path = makeDatabase(join(source, "quiet ? # %41.db"), 10);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; INSERT INTO entry (amount) VALUES (7)");
  database.close();
  const before = { content: readFileSync(path), time: statSync(path).mtimeMs };
  await backup({ source: sqlite(path) });
  expect(readdirSync(source)).toEqual(["quiet ? # %41.db"]);
  expect({ content: readFileSync(path), time: statSync(path).mtimeMs }).toEqual(before);
});

test("several databases are an archive of them, and go back to their places", async () => {
  const { source, storage, backup, restore, restored } = world();
  const paths = ["one.db", "two.db"].map((name) => makeDatabase(join(source, name)));
  const done = await backup({ source: sqlite(...paths), compression: "none" });
  expect(done.entries).toBe(2);
  expect(run("tar", ["-tf", "-"], storage.objects.get(key)).toString()).toBe(
    paths.map((path) => `${path.slice(1)}\n`).join(""),
  );
  const job = { sourceType: "sqlite", compression: "none", expected: done } as const;
  await restore(job);
  expect(rowsOf(restored(paths[1])).rows).toBe(1000);
  const [first = ""] = paths;
  run("rm", [first]);
  writeFileSync(`${first}-wal`, "the log of a database that is gone");
  await restore({ ...job, destination: null, conflict: "keep" });
  expect(rowsOf(first).rows).toBe(1000);
  await restore({ ...job, destination: null, conflict: "overwrite", selectedPaths: [first] });
  expect(readdirSync(source).sort()).toEqual(["one.db", "two.db"]);
});

test("a restored database replaces the old one whole, with its mode, and without the old one's log", async () => {
  const { source, backup, restore } = world();
  const path = makeDatabase(join(source, "app.db"));
  chmodSync(path, 0o640);
  const expected = await backup({ source: sqlite(path) });
  const inUse = new DatabaseSync(path);
  inUse.exec("PRAGMA journal_mode = WAL; DELETE FROM entry");
  const job = { sourceType: "sqlite", expected, destination: null, originalPaths: [path] } as const;
  await expect(restore(job)).rejects.toThrow(`would replace what exists: ${path}`);
  expect(await restore({ ...job, conflict: "keep" })).toMatchObject({ entries: 0 });
  expect(existsSync(`${path}-wal`)).toBe(true);
  await restore({ ...job, conflict: "overwrite" });
  expect(rowsOf(path).rows).toBe(1000);
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(readdirSync(source).filter((name) => name.startsWith("."))).toEqual([]);
  inUse.close();
});

test("a single database goes into a directory under its own name; without a known place it asks for one", async () => {
  const { source, destination, backup, restore } = world();
  const path = makeDatabase(join(source, "app.db"));
  await backup({ source: sqlite(path) });
  mkdirSync(destination);
  await restore({ sourceType: "sqlite", originalPaths: [path] });
  expect(rowsOf(join(destination, "app.db")).rows).toBe(1000);
  await expect(restore({ sourceType: "sqlite", destination: null })).rejects.toThrow(/name a destination/);
  const selectedPaths = ["/other.db"];
  await expect(restore({ sourceType: "sqlite", originalPaths: [path], selectedPaths })).rejects.toThrow(
    "not in this backup: /other.db",
  );
});

test("a damaged database is not put in place, and what was there stays", async () => {
  const { source, storage, backup, restore } = world();
  const path = makeDatabase(join(source, "app.db"), 5000);
  await backup({ source: sqlite(path), compression: "none" });
  const bad = Buffer.from(storage.objects.get(key) as Buffer);
  bad.fill(0x5a, 20_000, 40_000);
  storage.objects.set(key, bad);
  const before = readFileSync(path);
  const job = {
    sourceType: "sqlite",
    compression: "none",
    destination: path,
    conflict: "overwrite",
  } as const;
  await expect(restore(job)).rejects.toThrow(/integrity check/);
  expect(readFileSync(path).equals(before)).toBe(true);
  storage.objects.set(key, bad.subarray(0, 100_000));
  await expect(restore(job)).rejects.toThrow(/integrity check/);
  expect(readdirSync(source)).toEqual(["app.db"]);
});

test("a source that is damaged, missing or no database fails the backup and says which", async () => {
  const { source, storage, backup } = world();
  const damaged = makeDatabase(join(source, "damaged.db"), 5000);
  truncateSync(damaged, 40_960);
  writeFileSync(join(source, "text"), "just text, and a good deal of it ".repeat(100));
  const good = makeDatabase(join(source, "good.db"));
  await expect(backup({ source: sqlite(damaged) })).rejects.toThrow(damaged);
  await expect(backup({ source: sqlite(good, join(source, "no.db")) })).rejects.toThrow(
    `there is no SQLite database at ${join(source, "no.db")}`,
  );
  await expect(backup({ source: sqlite(good, join(source, "text")) })).rejects.toThrow(
    `${join(source, "text")} is not a SQLite database`,
  );
  await expect(backup({ source: sqlite(source) })).rejects.toThrow("it is not a file");
  expect(storage.objects.size).toBe(0);
});

test.runIf(isRoot)("a work directory that is full is a clear error (tmpfs)", async () => {
  const { root, source, backup } = world();
  const path = makeDatabase(join(source, "app.db"), 50_000);
  const workDir = join(root, "small");
  mkdirSync(workDir);
  run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", workDir]);
  try {
    await expect(backup({ source: sqlite(path), workDir })).rejects.toThrow(
      `no space left in the work directory for the copy of ${path}`,
    );
    expect(readdirSync(workDir)).toEqual([]);
  } finally {
    run("umount", [workDir]);
  }
});

test.runIf(isRoot)(
  "a full disk leaves the old database as it was, and nothing beside it (tmpfs)",
  async () => {
    const { destination, source, backup, restore } = world();
    const path = makeDatabase(join(source, "app.db"), 50_000);
    const expected = await backup({ source: sqlite(path) });
    mkdirSync(destination);
    run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", destination]);
    try {
      const old = makeDatabase(join(destination, "app.db"), 10);
      const before = readFileSync(old);
      const job = { sourceType: "sqlite", destination: old, conflict: "overwrite", expected } as const;
      await expect(restore(job)).rejects.toThrow(`no space left to restore ${old}`);
      expect(readFileSync(old).equals(before)).toBe(true);
      expect(readdirSync(destination)).toEqual(["app.db"]);
    } finally {
      run("umount", [destination]);
    }
  },
);

test.each(["keep", "overwrite"] as const)(
  "what a killed restore has left beside databases is gone after the next one (%s)",
  async (conflict) => {
    const { source, backup, restore } = world();
    const names = ["one.db", "two.db"];
    const paths = names.map((name) => makeDatabase(join(source, name)));
    for (const originalPaths of [paths.slice(0, 1), paths]) {
      const expected = await backup({ source: sqlite(...originalPaths) });
      for (const name of names.slice(0, originalPaths.length))
        for (const left of leftBeside(name)) writeFileSync(join(source, left), "left", { mode: 0o600 });
      await restore({ sourceType: "sqlite", originalPaths, expected, destination: null, conflict });
      expect(readdirSync(source).sort()).toEqual(names);
    }
  },
);

test("an empty database survives", async () => {
  const { source, destination, backup, restore } = world();
  writeFileSync(join(source, "empty.db"), "");
  await backup({ source: sqlite(join(source, "empty.db")) });
  await restore({ sourceType: "sqlite", destination });
  const database = new DatabaseSync(destination);
  expect(database.prepare("SELECT count(*) AS n FROM sqlite_master").get()).toEqual({ n: 0 });
  database.close();
});

test("names end in what they hold", () => {
  const file: SourceSpec = { type: "file", paths: ["/a"], excludes: [], oneFileSystem: false };
  expect(artifactExtension(file, "zstd", false)).toBe(".tar.zst");
  expect(artifactExtension(file, "gzip", false)).toBe(".tar.gz");
  expect(artifactExtension(file, "none", false)).toBe(".tar");
  expect(artifactExtension(sqlite("/a.db"), "zstd", false)).toBe(".sqlite.zst");
  expect(artifactExtension(sqlite("/a.db", "/b.db"), "gzip", false)).toBe(".tar.gz");
});
