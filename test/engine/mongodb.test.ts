import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { availableSources } from "../../agent-cli/sources/available.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { gradeReached } from "../../protocol/verification.ts";
import { restoreOf } from "./databases.ts";
import { details, verifierOf } from "./verifier.ts";
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
  ["truncate", /the dump of database shop is damaged: it is cut off in a document of shop\.orders/],
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

test("what a restore was loading when it was killed is removed by its mark, and nothing else", async () => {
  const { workDir } = world();
  const one = [{ _id: 1, text: "half" }];
  change(({ databases }) => {
    databases["half"] = { things: one, "backupx-restore-unfinished-0123456789ab": [] };
    databases["another's"] = { things: one, "backupx-restore-unfinished-ba9876543210": [] };
  });
  change((server) => (server["closed"] = "shop"));
  const signal = new AbortController().signal;
  const access = { secrets, commands: {}, workDir: workDir(), signal };
  const { dropUnfinished } = sourceOf("mongodb");
  expect(await dropUnfinished?.(source(), "0123456789ab", access)).toEqual(["half"]);
  expect(Object.keys(state().databases).toSorted()).toEqual(["admin", "another's", "ot$her*", "shop"]);
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

describe("a verification of an archive", () => {
  /** What it is in place of one part of the archive, of which the shop has two segments of orders. */
  async function archived(chosen: Partial<Mongodb> = { databases: ["shop"] }) {
    const w = world();
    const from = source(chosen);
    await w.backup({ source: from, sourceSecrets: secrets, compression: "none" });
    const stored = w.storage.objects.get(key) as Buffer;
    const store = (changed: Buffer) => void w.storage.objects.set(key, changed);
    return { ...w, ...verifierOf(w, from), stored, store };
  }

  test("parses all of it and counts the documents, views, time series and the oplog too", async () => {
    change((server) => {
      server["oplog"] = true;
      server["types"] = { "shop.view": "view", "shop.weather.hourly": "timeseries" };
      const [document = { _id: 0, text: "" }] = server.databases["shop"]?.["orders"] ?? [];
      Object.assign(server.databases["shop"] ?? {}, { view: [document], "weather.hourly": [document] });
    });
    const { verify } = await archived({ oplog: true });
    const report = await verify(4);
    expect(details(report).slice(2)).toEqual([
      '3 passed: the archive of MongoDB 7.0.0 with "shop", "ot$her*", "admin" was parsed to its end: 7 collections, 3012 documents, each collection with the CRC-64 that mongodump has written: shop.orders 3000, ot$her*.things 10, shop.system.buckets.weather.hourly 1, oplog 1, shop.empty 0, shop.view 0, admin.system.users 0',
      "4 not_checked: no MongoDB server is started for a verification: 3 is the highest grade for its backups",
    ]);
    expect(gradeReached(report.checks)).toBe(3);
  });

  test("parses each of several", async () => {
    const { verify } = await archived({ excludeDatabases: ["none"] });
    const report = await verify(3);
    expect(gradeReached(report.checks), details(report).join("\n")).toBe(3);
    expect(details(report).slice(2)).toEqual([
      expect.stringMatching(/^3 passed: the archive of MongoDB 7\.0\.0 with "(shop|ot\$her\*)" was parsed/),
      expect.stringMatching(
        /^3 passed: .* 1 collections?, 10 documents|^3 passed: .* 2 collections, 3000 doc/,
      ),
    ]);
  });

  test("tells where it is cut off", async () => {
    const { verify, stored, store } = await archived();
    const reasons = new Set<string>();
    const emptyAt = stored.indexOf("empty", stored.indexOf(Buffer.alloc(4, 0xff)));
    const around = (at: number) => Array.from({ length: 200 }, (_, i) => at - 100 + i);
    const cuts = [0, 3, 4, 60, 200, 1000, 90_000, ...around(emptyAt), ...around(stored.length - 100)];
    for (const bytes of cuts) {
      store(stored.subarray(0, bytes));
      const report = await verify(3);
      expect(gradeReached(report.checks), `${bytes} bytes`).toBe(2);
      const { outcome, detail } = report.checks.at(-1) ?? {};
      expect(outcome).toBe("damaged");
      reasons.add(detail ?? "");
    }
    expect([...reasons].toSorted()).toEqual(
      [
        "it is cut off before the end of shop.orders",
        "it is cut off before the end of shop.orders, shop.empty",
        "it is cut off in a document of shop.orders",
        "it is cut off in a segment of shop.empty",
        "it is cut off in a segment of shop.orders",
        "it is cut off in its prelude",
        "it is cut off in the header of a segment",
      ].map((reason) => `the backup is damaged: ${reason}`),
    );
  });

  /** Byte offsets of the first document of the orders and of its text. */
  const placesIn = (stored: Buffer) => {
    const text = stored.indexOf('žluť 🐘 "0"');
    const start = stored.lastIndexOf("\x10_id\0", text) - 4;
    return { text, start, size: stored.readInt32LE(start) };
  };

  test.each<[string, (stored: Buffer) => Buffer, RegExp]>([
    [
      "whose text has one bit changed",
      (stored) => flipped(stored, placesIn(stored).text),
      /the documents of shop\.orders have the CRC-64 [0-9a-f]+, and [0-9a-f]+ was written/,
    ],
    [
      "with a text longer than its document",
      (stored) => flipped(stored, placesIn(stored).text - 3),
      /document 1 of shop\.orders is not sound: at its byte \d+, a text is longer than its document/,
    ],
    [
      "with an element of no type",
      (stored) => flipped(stored, placesIn(stored).start + 4, 0x60),
      /document 1 of shop\.orders is not sound: at its byte \d+, an element has the unknown type 112/,
    ],
    [
      "with a document of another length",
      (stored) => flipped(stored, placesIn(stored).start),
      /shop\.orders|no length of a document/,
    ],
    [
      "without one of its documents",
      (stored) => {
        const { start, size } = placesIn(stored);
        return Buffer.concat([stored.subarray(0, start), stored.subarray(start + size)]);
      },
      /the documents of shop\.orders have the CRC-64/,
    ],
    [
      "without a collection that it announces",
      (stored) => {
        const first = stored.lastIndexOf("empty", stored.lastIndexOf("empty") - 1);
        const bodyAt = stored.lastIndexOf("\x02db\0", first) - 4;
        const endAt = stored.indexOf(Buffer.alloc(4, 0xff), stored.lastIndexOf("empty")) + 4;
        return Buffer.concat([stored.subarray(0, bodyAt), stored.subarray(endAt)]);
      },
      /it is cut off: shop\.empty is announced and not in it/,
    ],
    [
      "which goes on behind its end",
      (stored) => Buffer.concat([stored, stored.subarray(4)]),
      /one of its headers names no collection/,
    ],
    [
      "whose segment is there twice",
      (stored) => Buffer.concat([stored, lastSegment(stored)]),
      /shop\.\w+ goes on behind its end/,
    ],
    [
      "with two terminators",
      (stored) => Buffer.concat([stored, Buffer.alloc(4, 0xff)]),
      /a terminator follows another one/,
    ],
    ["that is none", (stored) => Buffer.concat([Buffer.alloc(1), stored]), /it is no archive of mongodump/],
  ])("finds one %s damaged, and a restore of it writes nothing", async (_what, damage, words) => {
    const { verify, restore, stored, store } = await archived();
    store(damage(stored));
    const report = await verify(3);
    expect(gradeReached(report.checks), details(report).join("\n")).toBe(2);
    expect(details(report).at(-1)).toMatch(/^3 damaged: the backup is damaged: /);
    expect(details(report).at(-1)).toMatch(words);
    const before = state();
    const job = restoreOf(source({ databases: ["shop"] }), password, { renameDatabases: { shop: "copy" } });
    await expect(restore({ ...job, compression: "none" })).rejects.toThrow(words);
    expect(state()).toEqual(before);
  });
});

function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ mask;
  return copy;
}

/** The segment that ends the archive, with its header and its terminator. */
const lastSegment = (stored: Buffer): Buffer => stored.subarray(stored.lastIndexOf("\x02db\0") - 4);
