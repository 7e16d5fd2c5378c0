import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { saphanaFolders } from "../../agent-cli/sources/find-program.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { hanaBackupFile } from "../fakes/hana-backup-file.ts";
import { details, verifierOf } from "./verifier.ts";
import { key, scratch, world } from "./world.ts";

// SAP HANA cannot be had here: what stands in for its programs is in test/fakes.

const path = process.env["PATH"];
let stateFile = "";
let directory = "";
let folder = "";

beforeEach(() => {
  folder = scratch();
  directory = join(folder, "data");
  stateFile = join(folder, "server.json");
  install("hdbsql");
  save({ key: "BACKUP", databases: { SYSTEMDB: "system", HDB: "tenant" }, directory, catalog: [] });
  process.env["PATH"] = `${folder}:${path}`;
  process.env["FAKE_HANA"] = stateFile;
});
afterEach(() => {
  process.env["PATH"] = path;
  delete process.env["FAKE_HANA"];
});

/** Puts a stand-in on the path. */
function install(name: string, ...args: string[]): void {
  const fake = resolve(import.meta.dirname, `../fakes/${name}.mjs`);
  const command = [process.execPath, fake, ...args].map((word) => `"${word}"`).join(" ");
  writeFileSync(join(folder, name), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
}

const waiting = { timeout: 60_000, interval: 20 };
const save = (state: unknown) => writeFileSync(stateFile, JSON.stringify(state));
const fault = (name: string) => save({ ...JSON.parse(readFileSync(stateFile, "utf8")), fault: name });
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());

const source = (change: Partial<Extract<SourceSpec, { type: "saphana" }>> = {}): SourceSpec => ({
  type: "saphana",
  host: "localhost",
  port: null,
  instance: "00",
  user: "BACKUP",
  tls: { mode: "prefer", caFile: null },
  databases: [],
  excludeDatabases: [],
  ...change,
});

test("the files of the server's own data backups are archived, removed there, and put into a folder again", async () => {
  const { backup, restore, destination, workDir } = world();
  const folder = workDir();
  expect(await backup({ source: source(), workDir: folder })).toMatchObject({ entries: 2, warningCount: 0 });
  expect(filesIn(directory)).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
  await expect(restore({ sourceType: "saphana", destination: null })).rejects.toThrow(/name a destination/);
  await restore({ sourceType: "saphana" });
  expect(readdirSync(destination).toSorted()).toEqual(["HDB", "SYSTEMDB"]);
  const [first = ""] = readdirSync(join(destination, "HDB")).toSorted();
  expect(readFileSync(join(destination, "HDB", first), "utf8")).toBe(hanaBackupFile("HDB", 0, "tenant"));
});

/** A stored backup of both databases, and what a verification of it finds from its third grade on. */
async function backedUp() {
  const w = world();
  await w.backup({ source: source(), compression: "none" });
  const { verify, workDir } = verifierOf(w, source());
  const opened = async () => {
    const report = await verify(4);
    expect(readdirSync(workDir)).toEqual([]);
    return details(report)
      .slice(2)
      .map((line) => line.replaceAll(/backupx_\w+?_/g, ""));
  };
  return { ...w, opened };
}

test("hdbbackupcheck looks into each file of a backup: grade 3, and what it finds wrong is damage", async () => {
  install("hdbbackupcheck", folder);
  const { opened, storage } = await backedUp();
  const good = (name: string, bytes: number) =>
    `3 passed: hdbbackupcheck has found nothing wrong with ${name} (${bytes} bytes)`;
  expect(await opened()).toEqual([
    good("SYSTEMDB/databackup_0_1", 8114),
    good("SYSTEMDB/databackup_1_1", 8114),
    good("HDB/databackup_0_1", 8109),
    good("HDB/databackup_1_1", 8109),
    "4 not_checked: no SAP HANA system is started for a verification: 3 is the highest grade for its backups",
  ]);
  const stored = (storage.objects.get(key) as Buffer).toString("latin1");
  storage.objects.set(key, Buffer.from(stored.replace("1 tenant", "1 tEnant"), "latin1"));
  expect((await opened()).slice(2)).toEqual([
    good("HDB/databackup_0_1", 8109),
    "3 damaged: HDB/databackup_1_1: hdbbackupcheck ended with code 1: SID: HDB; size: 8000; sum: SUM; ERROR: checksum of a page is wrong".replace(
      "SUM",
      /sum: (\w+)/.exec(hanaBackupFile("HDB", 1, "tenant"))?.[1] ?? "",
    ),
  ]);
});

test("the folders of SAP's servers are found by how it names them", () => {
  for (const name of ["HDB/HDB00/exe", "HDB/SYS/exe", "P01/HDB42/exe", "hostctrl/exe", "HDB/HDB1/exe"])
    mkdirSync(join(directory, name), { recursive: true });
  const found = ["HDB/HDB00/exe", "P01/HDB42/exe"].map((name) => join(directory, name));
  expect(saphanaFolders(directory).toSorted()).toEqual(found);
});

test("without hdbbackupcheck a backup is read to its end, keeps grade 2, and it is said where it can be verified", async () => {
  const { opened, storage, restore, destination } = await backedUp();
  expect(await opened()).toEqual([
    "3 not_checked: its archive of 4 files was read to its end, but what looks into them, SAP's hdbbackupcheck, is not on this machine: verify it on the server's own",
  ]);
  const stored = storage.objects.get(key) as Buffer;
  storage.objects.set(key, stored.subarray(0, 20_000));
  expect(await opened()).toEqual(["3 damaged: the backup is damaged: the archive stops before its end"]);
  const job = { sourceType: "saphana", compression: "none" } as const;
  await expect(restore(job)).rejects.toThrow("the archive stops before its end");
  expect(existsSync(destination)).toBe(false);
});

test("an hdbbackupcheck that cannot run says nothing against the backup", async () => {
  install("hdbbackupcheck", "/elsewhere");
  const { opened } = await backedUp();
  expect(await opened()).toEqual([
    "3 not_checked: hdbbackupcheck ended with code 127: hdbbackupcheck: error while loading shared libraries: libhdbbasis.so",
  ]);
});

test.each([
  ["die", /database HDB: hdbsql ended with code 9: .*447: backup could not be completed/],
  ["empty", /_databackup_0_1, which the server has written for HDB, is empty/],
])("a backup of the server that goes wrong (%s) fails, and its files are removed", async (name, words) => {
  const { backup, storage } = world();
  fault(name);
  await expect(backup({ source: source({ databases: ["HDB"] }) })).rejects.toThrow(words);
  expect(filesIn(directory)).toEqual([]);
  expect(storage.objects.size).toBe(0);
});

test("a cancelled backup removes what the server has written", async () => {
  const { backup } = world();
  fault("hang");
  const abort = new AbortController();
  const running = backup({ source: source({ databases: ["HDB"] }), signal: abort.signal });
  running.catch(() => {});
  await vi.waitFor(() => expect(readFileSync(stateFile, "utf8")).toMatch(/_databackup_1_1"/), waiting);
  abort.abort(new Error("cancelled by a person"));
  await expect(running).rejects.toThrow("cancelled by a person");
  expect(filesIn(directory)).toEqual([]);
});

test("discovery; a password is refused rather than shown; a key that is not there is told", async () => {
  const { workDir } = world();
  const access = {
    secrets: { password: null },
    commands: {},
    workDir: workDir(),
    signal: new AbortController().signal,
    ownPaths: [],
  };
  const { discover, preview } = sourceOf("saphana");
  expect(await discover?.(source() as never, access)).toEqual([
    { name: "SYSTEMDB", sizeBytes: null },
    { name: "HDB", sizeBytes: null },
  ]);
  expect(await preview(source({ databases: ["HDB"] }), access)).toMatchObject({ entries: 1, bytes: null });
  await expect(preview(source(), { ...access, secrets: { password: "x" } })).rejects.toThrow(/hdbuserstore/);
  await expect(preview(source({ user: "OTHER" }), access)).rejects.toThrow(/Invalid value for KEY/);
});
