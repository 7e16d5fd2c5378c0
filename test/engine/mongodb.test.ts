import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { availableSources } from "../../agent-cli/sources/available.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { restoreOf } from "./databases.ts";
import { key, scratch, world } from "./world.ts";

// MongoDB's programs cannot be had from Debian or npm: what stands in for them is in test/fakes/mongo-tools.mjs.

type Mongodb = Extract<SourceSpec, { type: "mongodb" }>;
type State = {
  databases: Record<string, Record<string, { _id: number; text: string }[]>>;
  [key: string]: unknown;
};

const password = "pa:ss/w@rd#1 %";
const path = process.env["PATH"];
let stateFile = "";

beforeEach(() => {
  const folder = scratch();
  for (const name of ["mongodump", "mongorestore", "mongosh"]) {
    const fake = resolve(import.meta.dirname, "../fakes/mongo-tools.mjs");
    writeFileSync(join(folder, name), `#!/bin/sh\nexec "${process.execPath}" "${fake}" ${name} "$@"\n`, {
      mode: 0o755,
    });
  }
  stateFile = join(folder, "server.json");
  const many = Array.from({ length: 3000 }, (_, i) => ({ _id: i, text: `žluť 🐘 "${i}"` }));
  save({
    user: "root",
    password,
    databases: {
      shop: { orders: many, empty: [] },
      "ot$her*": { things: many.slice(0, 10) },
      admin: { "system.users": [] },
    },
  });
  process.env["PATH"] = `${folder}:${path}`;
  process.env["FAKE_MONGO"] = stateFile;
});
afterEach(() => {
  process.env["PATH"] = path;
  delete process.env["FAKE_MONGO"];
});

const state = (): State => JSON.parse(readFileSync(stateFile, "utf8"));
const save = (next: State) => writeFileSync(stateFile, JSON.stringify(next));
const change = (edit: (state: State) => void) => {
  const next = state();
  edit(next);
  save(next);
};

const source = (chosen: Partial<Mongodb> = {}): Mongodb => ({
  type: "mongodb",
  host: "127.0.0.1",
  port: 27017,
  user: "root",
  tls: { mode: "prefer", caFile: null },
  authDatabase: "admin",
  replicaSet: null,
  databases: [],
  excludeDatabases: [],
  oplog: false,
  ...chosen,
});
const secrets = { password };

test("a database comes back under another name, out of one archive of all", async () => {
  const { backup, restore, storage } = world();
  const from = source();
  await backup({ source: from, sourceSecrets: secrets, compression: "none" });
  expect(storage.objects.get(key)?.subarray(0, 4).toString("hex")).toBe("6de29981");
  const options = { databases: ["ot$her*"], renameDatabases: { "ot$her*": "copy" } };
  await restore({ ...restoreOf(from, password, options), compression: "none" });
  const { databases } = state();
  expect(databases["copy"]).toEqual(databases["ot$her*"]);
  expect(Object.keys(databases).toSorted()).toEqual(["admin", "copy", "ot$her*", "shop"]);
});

test("some databases are a tar of an archive each; what exists is refused, kept or replaced", async () => {
  const { backup, restore } = world();
  const from = source({ excludeDatabases: ["none"] });
  expect(await backup({ source: from, sourceSecrets: secrets })).toMatchObject({ entries: 2 });
  const before = state();
  await expect(restore(restoreOf(from, password))).rejects.toThrow(
    /would replace databases that exist: "ot\$her\*", "shop"|"shop", "ot/,
  );
  change(({ databases }) => {
    delete databases["ot$her*"];
    databases["shop"]?.["orders"]?.splice(5);
  });
  await restore({ ...restoreOf(from, password), conflict: "keep" });
  expect(state().databases["ot$her*"]).toEqual(before.databases["ot$her*"]);
  expect(state().databases["shop"]?.["orders"]).toHaveLength(5);
  await restore({ ...restoreOf(from, password, { databases: ["shop"] }), conflict: "overwrite" });
  expect(state().databases["shop"]?.["orders"]).toEqual(before.databases["shop"]?.["orders"]);
});

test("a restore stops at the first error and drops what it has made", async () => {
  const { backup, restore } = world();
  const from = source({ databases: ["shop"] });
  await backup({ source: from, sourceSecrets: secrets });
  change((server) => (server["refuses"] = 1000));
  const before = state();
  const job = restoreOf(from, password, { renameDatabases: { shop: "copy" } });
  await expect(restore(job)).rejects.toThrow(/mongorestore ended with code 1: .*Document failed validation/);
  expect(state()).toEqual(before);
});

test.each([
  ["truncate", /the dump of database shop was cut off before its end/],
  ["die", /mongodump ended with code 1: .*connection to/],
  ["kill", /mongodump was ended by SIGKILL/],
])("a dump that goes wrong (%s) fails the backup, and tells no secret", async (fault, words) => {
  const { backup, storage, workDir, logs } = world();
  change((server) => (server["fault"] = fault));
  const folder = workDir();
  const error = await backup({
    source: source({ databases: ["shop"] }),
    sourceSecrets: secrets,
    workDir: folder,
  }).catch((caught: Error) => caught);
  expect(String(error)).toMatch(words);
  expect([String(error), ...logs].join("\n")).not.toMatch(/pa:ss|pa%3Ass/);
  expect(storage.objects.size).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});

test("a cancelled backup ends the program and leaves no file", async () => {
  const { backup, workDir } = world();
  change((server) => (server["fault"] = "hang"));
  const abort = new AbortController();
  const folder = workDir();
  const running = backup({ source: source(), sourceSecrets: secrets, workDir: folder, signal: abort.signal });
  setTimeout(() => abort.abort(new Error("cancelled by a person")), 500);
  await expect(running).rejects.toThrow("cancelled by a person");
  expect(readdirSync(folder)).toEqual([]);
});

test("discovery, a dry run, a wrong password, and the programs' versions", async () => {
  const { workDir } = world();
  const signal = new AbortController().signal;
  const access = { secrets, commands: {}, workDir: workDir(), signal, ownPaths: [] };
  const { discover, preview } = sourceOf("mongodb");
  expect(await discover?.(source() as never, access)).toEqual([
    { name: "shop", sizeBytes: 8192 },
    { name: "ot$her*", sizeBytes: 8192 },
  ]);
  expect(await preview(source({ databases: ["shop"] }), access)).toMatchObject({ entries: 1, bytes: 8192 });
  await expect(preview(source(), { ...access, secrets: { password: "x" } })).rejects.toThrow(
    "Authentication failed",
  );
  expect(readdirSync(access.workDir)).toEqual([]);
  const { sources, tools } = await availableSources();
  expect(sources).toContain("mongodb");
  expect(tools).toMatchObject({ mongodump: "100.10.0", mongosh: "2.3.1" });
});

test("the oplog is asked for with all databases, and never with some", async () => {
  const { backup } = world();
  await expect(backup({ source: source({ oplog: true }), sourceSecrets: secrets })).rejects.toThrow(
    "not a replica set",
  );
  change((server) => (server["oplog"] = true));
  await backup({ source: source({ oplog: true }), sourceSecrets: secrets });
  const some = source({ oplog: true, databases: ["shop"] });
  await expect(backup({ source: some, sourceSecrets: secrets })).rejects.toThrow(
    "only be stored with all databases",
  );
});
