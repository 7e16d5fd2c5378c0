import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { scratch, world } from "./world.ts";

// SAP HANA cannot be had here: what stands in for its hdbsql is in test/fakes/hdbsql.mjs.

const path = process.env["PATH"];
let stateFile = "";
let directory = "";

beforeEach(() => {
  const folder = scratch();
  directory = join(folder, "data");
  stateFile = join(folder, "server.json");
  const fake = resolve(import.meta.dirname, "../fakes/hdbsql.mjs");
  writeFileSync(join(folder, "hdbsql"), `#!/bin/sh\nexec "${process.execPath}" "${fake}" "$@"\n`, {
    mode: 0o755,
  });
  save({ key: "BACKUP", databases: { SYSTEMDB: "system", HDB: "tenant" }, directory, catalog: [] });
  process.env["PATH"] = `${folder}:${path}`;
  process.env["FAKE_HANA"] = stateFile;
});
afterEach(() => {
  process.env["PATH"] = path;
  delete process.env["FAKE_HANA"];
});

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
  expect(readFileSync(join(destination, "HDB", first), "utf8")).toBe("0 tenant".repeat(1000));
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
  setTimeout(() => abort.abort(new Error("cancelled by a person")), 700);
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
