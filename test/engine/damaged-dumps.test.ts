import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type {
  Compression,
  RestoreJob,
  SourceSpec,
  StoredArtifact,
} from "../../agent-cli/pipeline/pipeline.ts";
import type { VerifyJob } from "../../agent-cli/pipeline/verify/finding.ts";
import { runVerification } from "../../agent-cli/pipeline/verify/verify.ts";
import { gradeReached } from "../../protocol/verification.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { mysqlOf, postgresqlOf, restoreOf } from "./databases.ts";
import { details } from "./verifier.ts";
import { scratch, world } from "./world.ts";

// A backup of each kind of source, and each damaged in some ways, as scripts/make-damaged-dumps.ts has made them. What
// is said of them is asked when the master knows the sound one's size and hash, and when nobody knows either.

const folder = join(import.meta.dirname, "../fixtures/dumps");
type Known = Required<Pick<StoredArtifact, "archiveIndex">> & { sha256: string; sizeBytes: number };
const facts: { identity: string; artifacts: Record<string, Known> } = JSON.parse(
  readFileSync(join(folder, "facts.json"), "utf8"),
);
const nothing = { sha256: null, sizeBytes: null };

const read = (name: string): Buffer => readFileSync(join(folder, name));

type Kind = {
  source: SourceSpec;
  /** Where a restore goes. */
  job?: Partial<RestoreJob>;
  verifying?: Partial<VerifyJob>;
  /** What is there, before and after a restore that is refused. */
  there?(destination: string): unknown;
  /** Makes room for another restore. */
  clear?(): void;
};

/** What is said of `bytes`, which stand where the sound artifact called `good` was stored. */
async function saidOf(kind: Kind, good: string, bytes: Buffer) {
  const { archiveIndex, ...known } = facts.artifacts[good] as Known;
  const unknown = { sha256: null, sizeBytes: bytes.length };
  const about = {
    key: good,
    compression: compressionOf(good),
    identities: good.endsWith(".age") ? identities : null,
    ...(archiveIndex && { archiveIndex }),
  };
  return {
    verified: await verified(kind, bytes, { ...about, expected: known }),
    unknown: await verified(kind, bytes, { ...about, expected: unknown }),
    restores: [
      await restored(kind, bytes, { ...about, expected: known }),
      await restored(kind, bytes, { ...about, expected: nothing }),
    ],
  };
}

const identities = { origin: "identity.txt", keys: [facts.identity], readableByOthers: false };

const compressionOf = (name: string): Compression =>
  name.includes(".gz") ? "gzip" : name.includes(".zst") ? "zstd" : "none";

type About = Pick<VerifyJob & RestoreJob, "key" | "compression" | "expected">;

async function verified({ source, verifying }: Kind, bytes: Buffer, about: About) {
  const { storage, report, ...w } = world();
  storage.objects.set(about.key, bytes);
  const workDir = w.workDir();
  const { signal } = new AbortController();
  const job = { grade: 3 as const, source, storage, report, workDir, signal, identities: null };
  const said = await runVerification({ ...job, ...about, ...verifying });
  expect(readdirSync(workDir)).toEqual([]);
  return { lines: details(said), reached: gradeReached(said.checks) };
}

async function restored(kind: Kind, bytes: Buffer, about: About): Promise<string> {
  const { source, job, there = existsSync, clear } = kind;
  const { storage, destination, restore } = world();
  storage.objects.set(about.key, bytes);
  clear?.();
  const before = there(destination);
  try {
    await restore({ sourceType: source.type, source, ...about, ...job });
    return "restored";
  } catch (error) {
    expect(there(destination)).toEqual(before);
    return (error as Error).message.replaceAll(destination, "DESTINATION");
  }
}

const damage = (words: string): string => `the backup is damaged: ${words}`;
const otherHash = damage("its SHA-256 is not the one that was recorded");
const otherSize = "other size";
const gzipEnds = "gzip: unexpected end of file";
const gzipDiffers = "gzip: incorrect data check";

/**
 * Each artifact; what a verification finds when it opens it; and what a restore ends with when size and hash of the sound
 * one are known, and when they are not: without them, not all damage can be seen.
 */
type Row = [name: string, opened: string | string[], known: string, unknown: string];

const named = new Set(["facts.json", "full.tar.zst", "other-full.tar.zst", "differential.tar.zst"]);
const rows = (...all: Row[]): Row[] => {
  for (const [name] of all) named.add(name);
  return all;
};

async function expectSaid(kind: Kind, good: string, [name, opened, known, unknown]: Row, bytes = read(name)) {
  const said = await saidOf(kind, good, bytes);
  const { sha256, sizeBytes } = facts.artifacts[good] as Known;
  const hash = createHash("sha256").update(bytes).digest("hex");
  const third = [opened].flat().map((one) => `3 ${one}`);
  const hashed =
    hash === sha256
      ? `passed: its ${sizeBytes} bytes have the SHA-256 that was recorded`
      : `damaged: its SHA-256 is ${hash}, and ${sha256} was recorded`;
  expect(said.verified).toEqual(
    bytes.length === sizeBytes
      ? {
          lines: [`1 passed: it is there with its ${sizeBytes} bytes`, `2 ${hashed}`, ...third],
          reached: hash === sha256 ? 3 : 1,
        }
      : { lines: [`1 damaged: it has ${bytes.length} bytes, and ${sizeBytes} were stored`], reached: null },
  );
  // What was opened although its hash is not known has still reached no more than the first grade.
  const notHashed = `2 not_checked: its SHA-256 is ${hash}, but none was ever recorded`;
  expect(said.unknown).toEqual({
    lines: [`1 passed: it is there with its ${bytes.length} bytes`, notHashed, ...third],
    reached: 1,
  });
  const size = damage(`its size is not the ${sizeBytes} bytes that were stored`);
  expect(said.restores).toEqual([known === otherSize ? size : known, unknown]);
}

const files: Kind = { source: { type: "file", paths: [], excludes: [], oneFileSystem: false } };
const whole = "passed: it was read to its end: 4 entries, 565 bytes; it has no index to compare it with";

/** A row of what is refused in the same words by whoever opens it. */
const refused = (name: string, known: string, words: string): Row => [
  name,
  `damaged: ${damage(words)}`,
  known,
  damage(words),
];

describe("an archive without compression", () => {
  it.each(
    rows(
      ["tree.tar", whole, "restored", "restored"],
      refused("flipped-header.tar", damage("a header's checksum is wrong"), "a header's checksum is wrong"),
      ["flipped-content.tar", whole, otherHash, "restored"],
      refused("cut.tar", otherSize, "the archive stops before its end"),
    ),
  )("%s", (...row) => expectSaid(files, "tree.tar", row));
});

describe("an archive packed by gzip", () => {
  it.each(
    rows(
      ["tree.tar.gz", whole, "restored", "restored"],
      refused("flipped.tar.gz", otherHash, gzipDiffers),
      refused("flipped-checksum.tar.gz", otherHash, gzipDiffers),
      refused("cut.tar.gz", otherSize, gzipEnds),
      refused("cut-before-its-checksum.tar.gz", otherSize, gzipEnds),
    ),
  )("%s", (...row) => expectSaid(files, "tree.tar.gz", row));
});

describe("an encrypted archive of three chunks", () => {
  const good = "long.tar.age";
  const bytes = read(good);
  const chunk = 64 * 1024 + 16;
  const header = bytes.indexOf("\n", bytes.indexOf("\n--- ") + 1) + 1;
  const payload = header + 16;
  const part = (from: number, to?: number) => bytes.subarray(from, to);
  const flippedHeader = Buffer.from(bytes);
  flippedHeader[40] = (flippedHeader[40] as number) ^ 1;
  const stranger =
    "no identity in identity.txt opens this backup: it was encrypted to 1 recipient (1 of type X25519), all to other keys, or its header was altered";
  const misplaced = "chunk 1 of its encryption was altered, or is not in its place";
  const lastIsNot = "chunk 3 of its encryption was altered, or is cut off";
  named.add(good);
  it.each<[...Row, Buffer]>([
    [good, whole.replace("4 entries, 565", "5 entries, 131637"), "restored", "restored", bytes],
    [
      ...refused("with two chunks swapped", damage(misplaced), misplaced),
      Buffer.concat([
        part(0, payload),
        part(payload + chunk, payload + 2 * chunk),
        part(payload, payload + chunk),
        part(payload + 2 * chunk),
      ]),
    ],
    [
      ...refused("without its first chunk", otherSize, misplaced),
      Buffer.concat([part(0, payload), part(payload + chunk)]),
    ],
    [
      ...refused("without its last chunk", otherSize, "it is cut off after chunk 2 of its encryption"),
      part(0, payload + 2 * chunk),
    ],
    [...refused("cut in its last chunk", otherSize, lastIsNot), part(0, payload + 2 * chunk + 100)],
    [
      ...refused("with more behind its end", otherSize, lastIsNot),
      Buffer.concat([bytes, Buffer.from("more")]),
    ],
    [...refused("cut in its header", otherSize, "it is cut off in its age header"), part(0, 100)],
    [
      ...refused("cut after its header", otherSize, "it is cut off after its age header"),
      part(0, header + 8),
    ],
    ["whose header was altered", `not_checked: ${stranger}`, stranger, stranger, flippedHeader],
  ])("%s", (name, opened, known, unknown, made) =>
    expectSaid(files, good, [name, opened, known, unknown], made),
  );
});

describe("a differential backup", () => {
  const sound = (name: string) => facts.artifacts[name]?.sha256 ?? null;
  const another = "this differential backup stands on record 7, and what is at hand is another one";
  const other = damage("record 7, on which it stands: its SHA-256 is not the one that was recorded");
  const alone = "this is a differential backup: it can only be restored together with record 7";
  const notOn = "not_checked: it is a differential backup, and";
  it.each<[what: string, base: string | null, sha256: string | null, fourth: string, restore: string]>([
    [
      "its base",
      "full.tar.zst",
      sound("full.tar.zst"),
      "passed: restored, all 4 entries are as the backup has them",
      "restored",
    ],
    ["none", null, null, `${notOn} its full one is not at hand`, alone],
    [
      "the base of another one",
      "other-full.tar.zst",
      sound("other-full.tar.zst"),
      `${notOn} the full one at hand is not the one that it stands on`,
      another,
    ],
    [
      "another one in its base's place",
      "other-full.tar.zst",
      sound("full.tar.zst"),
      `damaged: ${other}`,
      other,
    ],
    ["one of which nothing is known", "other-full.tar.zst", null, `damaged: ${other}`, other],
  ])("on %s", async (_what, name, sha256, fourth, words) => {
    const { storage } = world();
    if (name !== null) storage.objects.set(name, read(name));
    const expected = { sha256, sizeBytes: null };
    const base = name === null ? null : { storage, key: name, expected };
    const said = await saidOf(
      { ...files, job: { base }, verifying: { base, grade: 4 } },
      "differential.tar.zst",
      read("differential.tar.zst"),
    );
    const third =
      "3 passed: it was read to its end: 1 entries, 8 bytes, as its index has them; 3 more are in its full backup";
    for (const { lines } of [said.verified, said.unknown])
      expect(lines.slice(2)).toEqual([third, `4 ${fourth}`]);
    expect(said.verified.reached).toBe(words === "restored" ? 4 : 3);
    expect(said.restores).toEqual([words, words]);
  });
});

describe("an SQLite database", () => {
  const kind: Kind = { source: { type: "sqlite", paths: ["/srv/app.db"] } };
  const good = "passed: the database (2560 bytes) passed SQLite's integrity check";
  const failed = (name: string, known: string, words: string): Row => [
    name,
    `damaged: the database failed SQLite's integrity check: ${words}`,
    known,
    `DESTINATION failed SQLite's integrity check: ${words}`,
  ];
  const unusable =
    "*** in database main ***\nTree 2 page 2: btreeInitPage() returns error code 11\nPage 3: never used\nPage 4: never used\nPage 5: never used";
  it.each(
    rows(
      ["app.sqlite", good, "restored", "restored"],
      failed("flipped-page.sqlite", otherHash, unusable),
      ["flipped-value.sqlite", good, otherHash, "restored"],
      failed("cut.sqlite", otherSize, "database disk image is malformed"),
    ),
  )("%s", (...row) => expectSaid(kind, "app.sqlite", row));

  it.each(
    rows(
      ["app.sqlite.gz", good, "restored", "restored"],
      refused("flipped.sqlite.gz", otherHash, gzipDiffers),
      refused("cut.sqlite.gz", otherSize, gzipEnds),
    ),
  )("%s", (...row) => expectSaid(kind, "app.sqlite.gz", row));
});

const good = "passed: the dump of shop was read to its end";

describeWith(["pg_ctlcluster", "setpriv", "openssl"], "a dump of PostgreSQL", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server?.close());
  const kind = (): Kind => {
    const source = postgresqlOf(server, { databases: ["shop"], globals: false });
    const there = () => server.sql("select datname from pg_database order by 1");
    const clear = () => void server.sql("drop database if exists shop");
    return { source, job: restoreOf(source, server.password), there, clear };
  };
  const failed = (name: string, known: string, words: string): Row => {
    const said = `pg_restore ended with code 1: pg_restore: error: ${words}`;
    return [name, `damaged: ${damage(said)}`, known, said];
  };
  it.each(
    rows(
      ["shop.dump", good, "restored", "restored"],
      failed("flipped-magic.dump", otherHash, "input file does not appear to be a valid archive"),
      // Dumps are not compressed by pg_dump, and then have no checksums of their own.
      [
        "flipped-data.dump",
        good,
        otherHash,
        'database shop: pg_restore ended with code 1: pg_restore: error: COPY failed for table "t": ERROR:  extra data after last expected column; CONTEXT:  COPY t, line 59: "59 row 59 of sixty 60 row 60 of sixty"',
      ],
      failed("cut-in-the-data.dump", otherSize, "could not read from input file: end of file"),
      failed("cut-in-the-contents.dump", otherSize, "could not read from input file: end of file"),
    ),
  )("%s", (...row) => expectSaid(kind(), "shop.dump", row));
});

describeWith(["mariadbd", "mariadb-dump", "setpriv", "openssl"], "a dump of MariaDB", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startMariadb();
  });
  afterAll(() => server?.close());
  const kind = (): Kind => {
    const source = mysqlOf(server, { databases: ["shop"] });
    const there = () => server.sql("show databases");
    const clear = () => void server.sql("drop database if exists shop");
    return { source, job: restoreOf(source, server.password), there, clear };
  };
  it.each(
    rows(
      ["shop.sql", good, "restored", "restored"],
      ["flipped-value.sql", good, otherHash, "restored"],
      [
        "flipped-statement.sql",
        good,
        otherHash,
        "database shop: mariadb ended with code 1: --------------; ERROR 1064 (42000) at line 28: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'BREATE TABLE `t` (; `i` bigint(20) unsigned NOT NULL,; `text` varchar(33) C...' at line 1",
      ],
      refused("cut.sql", otherSize, "the dump of database shop is cut off before its end"),
    ),
  )("%s", (...row) => expectSaid(kind(), "shop.sql", row));

  it.each(
    rows(
      ["shop.sql.gz", good, "restored", "restored"],
      refused("flipped.sql.gz", otherHash, gzipDiffers),
      refused("cut.sql.gz", otherSize, gzipEnds),
    ),
  )("%s", (...row) => expectSaid(kind(), "shop.sql.gz", row));
});

describe("an archive of MongoDB", () => {
  const path = process.env["PATH"];
  let stateFile = "";
  const clear = () =>
    writeFileSync(stateFile, JSON.stringify({ user: "root", password: "secret", databases: {} }));
  beforeEach(() => {
    const place = scratch();
    const fake = resolve(import.meta.dirname, "../fakes/mongo-tools.mjs");
    for (const program of ["mongodump", "mongorestore", "mongosh"]) {
      const script = `#!/bin/sh\nexec "${process.execPath}" "${fake}" ${program} "$@"\n`;
      writeFileSync(join(place, program), script, { mode: 0o755 });
    }
    stateFile = join(place, "server.json");
    process.env["PATH"] = `${place}:${path}`;
    process.env["FAKE_MONGO"] = stateFile;
  });
  afterEach(() => {
    process.env["PATH"] = path;
    delete process.env["FAKE_MONGO"];
  });
  const source: SourceSpec = {
    type: "mongodb",
    host: "127.0.0.1",
    port: 27017,
    user: "root",
    tls: { mode: "prefer", caFile: null },
    authDatabase: "admin",
    replicaSet: null,
    databases: ["shop"],
    excludeDatabases: [],
    oplog: false,
  };
  const kind: Kind = {
    source,
    job: restoreOf(source, "secret"),
    there: () => readFileSync(stateFile, "utf8"),
    clear,
  };
  const parsed =
    'passed: the archive of MongoDB 7.0.0 with "shop" was parsed to its end: 2 collections, 60 documents, each collection with the CRC-64 that mongodump has written: shop.orders 60, shop.empty 0';
  const parsedBlog =
    'passed: the archive of MongoDB 7.0.0 with "blog" was parsed to its end: 1 collections, 9 documents, each collection with the CRC-64 that mongodump has written: blog.posts 9';
  const otherSum =
    "the documents of shop.orders have the CRC-64 681f95c14432062f, and 3ade90b60e0afd9b was written";
  const tooLong =
    "document 31 of shop.orders is not sound: at its byte 19, a text is longer than its document";
  it.each(
    rows(
      ["shop.archive", parsed, "restored", "restored"],
      refused("flipped-value.archive", damage(otherSum), otherSum),
      refused("flipped-length.archive", damage(tooLong), tooLong),
      refused("cut.archive", otherSize, "it is cut off in a document of shop.orders"),
      refused("cut-before-its-last-end.archive", otherSize, "it is cut off in a segment of shop.empty"),
    ),
  )("%s", (...row) => expectSaid(kind, "shop.archive", row));

  const all: Kind = { ...kind, source: { ...source, databases: [], excludeDatabases: ["none"] } };
  const otherPlace = "piece 1 of shop.archive is not where it must be";
  const inOrders = "it is cut off in a document of shop.orders";
  it.each(
    rows(
      ["pieces.tar", [parsed, parsedBlog], "restored", "restored"],
      refused("pieces-swapped.tar", damage(otherPlace), otherPlace),
      refused("piece-missing.tar", damage(otherPlace), otherPlace),
      refused("last-piece-missing.tar", damage(inOrders), inOrders),
      refused("pieces-twice.tar", otherSize, "shop.archive is there twice"),
      refused("cut-between-pieces.tar", otherSize, "the archive stops before its end"),
    ),
  )("%s of several", (...row) =>
    expectSaid({ ...all, job: restoreOf(all.source, "secret") }, "pieces.tar", row),
  );
});

describe("the output of a command", () => {
  const source = { type: "command" as const, name: "dump" };
  const sh = (script: string) => ["/bin/sh", "-c", script];
  const judge = "tail -n 1 | grep -qx end || { echo it has no end >&2; exit 1; }";
  const kind = (): Kind => {
    const place = join(scratch(), "taken-back");
    const verify = { run: sh(judge), timeoutMs: 60_000 };
    const commands = { dump: { run: sh("true"), restore: sh(`cat > ${place}`), verify } };
    const job = { ...restoreOf(source, ""), commands };
    return { source, job, verifying: { commands }, there: () => existsSync(place) };
  };
  const content = "passed: its 8897 bytes were given to sh, which ended with code 0";
  it.each(
    rows(
      ["dump.bin", content, "restored", "restored"],
      ["flipped.bin", content, otherHash, "restored"],
      ["cut.bin", "damaged: sh ended with code 1: it has no end", otherSize, "restored"],
    ),
  )("%s", (...row) => expectSaid(kind(), "dump.bin", row));

  it.each(
    rows(
      ["dump.bin.gz", content, "restored", "restored"],
      refused("flipped.bin.gz", otherHash, "gzip: invalid distance too far back"),
      refused("cut.bin.gz", otherSize, gzipEnds),
    ),
  )("%s", (...row) => expectSaid(kind(), "dump.bin.gz", row));
});

it("none was forgotten here", () => {
  expect(readdirSync(folder).toSorted()).toEqual([...named].toSorted());
});
