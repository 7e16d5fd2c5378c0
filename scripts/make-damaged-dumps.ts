/**
 * Makes the artifacts of test/fixtures/dumps: a backup of each kind of source, and each damaged in a few ways. They were
 * made once and are kept, as those of make-damaged-artifacts.ts are. It starts a PostgreSQL and a MariaDB of its own.
 *
 *     node scripts/make-damaged-dumps.ts
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { runBackup } from "../agent-cli/pipeline/backup.ts";
import type { BackupJob, Compression, SourceSpec } from "../agent-cli/pipeline/pipeline.ts";
import { SlabPool } from "../agent-cli/pipeline/slabs.ts";
import { DumpArchive } from "../agent-cli/sources/dump-archive.ts";
import { mysqlOf, postgresqlOf } from "../test/engine/databases.ts";
import { packIndexed } from "../test/engine/indexed-archive.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../test/fakes/database-servers.ts";
import { memoryStorage } from "../test/fakes/memory-storage.ts";
import { flipped } from "./flipped.ts";

const folder = join(import.meta.dirname, "../test/fixtures/dumps");
const scratch = mkdtempSync(join(tmpdir(), "dumps-"));
const artifacts: Record<string, object> = {};

try {
  mkdirSync(folder, { recursive: true });
  const identity = await generateX25519Identity();
  await archives(await identityToRecipient(identity));
  await differential();
  await sqlite();
  await withServer(startPostgres, postgresql);
  await withServer(startMariadb, mysql);
  await mongodb();
  await command();
  const facts = { identity, artifacts };
  writeFileSync(join(folder, "facts.json"), `${JSON.stringify(facts, null, 2)}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function archives(recipient: string): Promise<void> {
  const source = files(makeTree("tree", "one"));
  const plain = await good("tree.tar", source, "none");
  save("flipped-header.tar", flipped(plain, plain.indexOf("b.txt") + 104));
  save("flipped-content.tar", flipped(plain, plain.indexOf("one 20")));
  save("cut.tar", plain.subarray(0, plain.indexOf("one 20")));
  const packed = await good("tree.tar.gz", source, "gzip");
  save("flipped.tar.gz", flipped(packed, packed.length - 100));
  save("flipped-checksum.tar.gz", flipped(packed, packed.length - 6));
  save("cut.tar.gz", packed.subarray(0, -60));
  save("cut-before-its-checksum.tar.gz", packed.subarray(0, -8));
  // Encryption has chunks of 64 KiB, so what has three of them cannot be smaller. Their damage is made where they are read.
  const long = makeTree("long", "one");
  writeFileSync(join(long, "zeros"), Buffer.alloc(128 * 1024));
  await good("long.tar.age", files(long), "none", { encryption: { recipients: [recipient] } });
}

async function differential(): Promise<void> {
  const root = makeTree("base", "one");
  const full = await packIndexed(root);
  writeFileSync(join(root, "b.txt"), "changed\n");
  const base = { index: { recordId: 7, sha256: full.sha256 }, entries: full.entries };
  const second = await packIndexed(root, { base });
  const other = await packIndexed(makeTree("other", "two"));
  for (const [name, { bytes, archiveIndex }] of Object.entries({
    "full.tar.zst": full,
    "other-full.tar.zst": other,
    "differential.tar.zst": second,
  })) {
    save(name, bytes);
    know(name, bytes, { archiveIndex });
  }
}

async function sqlite(): Promise<void> {
  const path = join(scratch, "app.db");
  const database = new DatabaseSync(path);
  database.exec("pragma page_size = 512; create table t (i integer primary key, text text)");
  const insert = database.prepare("insert into t (text) values (?)");
  for (let i = 1; i <= 60; i += 1) insert.run(`row ${i} of sixty`);
  database.close();
  const source = { type: "sqlite" as const, paths: [path] };
  const plain = await good("app.sqlite", source, "none");
  // The second page is the first one of the table: its kind, and a text in it.
  save("flipped-page.sqlite", flipped(plain, 512));
  save("flipped-value.sqlite", flipped(plain, plain.indexOf("row 30 of")));
  save("cut.sqlite", plain.subarray(0, -700));
  const packed = await good("app.sqlite.gz", source, "gzip");
  save("flipped.sqlite.gz", flipped(packed, packed.length - 100));
  save("cut.sqlite.gz", packed.subarray(0, -100));
}

async function postgresql(server: DatabaseServer): Promise<void> {
  server.sql("create database shop");
  server.sql(
    "create table t as select i, 'row ' || i || ' of sixty' as text from generate_series(1, 60) i",
    "shop",
  );
  const source = postgresqlOf(server, { databases: ["shop"], globals: false });
  const plain = await good("shop.dump", source, "none", {}, server.password);
  save("flipped-magic.dump", flipped(plain, 2));
  save("flipped-data.dump", flipped(plain, plain.length - 40));
  save("cut-in-the-data.dump", plain.subarray(0, -40));
  save("cut-in-the-contents.dump", plain.subarray(0, 400));
}

async function mysql(server: DatabaseServer): Promise<void> {
  server.sql(
    "create database shop; use shop; create table t as select seq as i, concat('row ', seq, ' of sixty') as text from seq_1_to_60;",
  );
  const source = mysqlOf(server, { databases: ["shop"] });
  const plain = await good("shop.sql", source, "none", {}, server.password);
  save("flipped-value.sql", flipped(plain, plain.indexOf("row 30 of")));
  save("flipped-statement.sql", flipped(plain, plain.indexOf("CREATE TABLE")));
  save("cut.sql", plain.subarray(0, plain.indexOf("row 30 of")));
  const packed = await good("shop.sql.gz", source, "gzip", {}, server.password);
  save("flipped.sql.gz", flipped(packed, packed.length - 100));
  save("cut.sql.gz", packed.subarray(0, -100));
}

/** MongoDB's own programs cannot be had; those that stand in for them write its format. */
async function mongodb(): Promise<void> {
  const [programs, stateFile] = [join(scratch, "mongo"), join(scratch, "mongo.json")];
  mkdirSync(programs);
  const fake = join(import.meta.dirname, "../test/fakes/mongo-tools.mjs");
  for (const name of ["mongodump", "mongosh"]) {
    writeFileSync(join(programs, name), `#!/bin/sh\nexec "${process.execPath}" "${fake}" ${name} "$@"\n`);
    chmodSync(join(programs, name), 0o755);
  }
  const orders = Array.from({ length: 60 }, (_, i) => ({ _id: i, text: `row ${i} of sixty` }));
  const databases = { shop: { orders, empty: [] }, blog: { posts: orders.slice(0, 9) } };
  writeFileSync(stateFile, JSON.stringify({ user: "root", password: "secret", databases }));
  process.env["PATH"] = `${programs}:${process.env["PATH"]}`;
  process.env["FAKE_MONGO"] = stateFile;
  const source = (database: string): SourceSpec => ({
    ...{
      type: "mongodb",
      host: "127.0.0.1",
      port: 27017,
      user: "root",
      tls: { mode: "prefer", caFile: null },
    },
    ...{ authDatabase: "admin", replicaSet: null, databases: [database], excludeDatabases: [], oplog: false },
  });
  const plain = await good("shop.archive", source("shop"), "none", {}, "secret");
  save("flipped-value.archive", flipped(plain, plain.indexOf("row 30 of")));
  save("flipped-length.archive", flipped(plain, plain.indexOf("row 30 of") - 4));
  save("cut.archive", plain.subarray(0, plain.indexOf("row 30 of")));
  save("cut-before-its-last-end.archive", plain.subarray(0, -4));
  pieces(plain, await backedUp("blog.archive", source("blog"), "none", {}, "secret"));
}

/** Two dumps as an archive holds them, in smaller pieces than it makes. */
function pieces(shop: Buffer, blog: Buffer): void {
  const half = shop.length >> 1;
  const first: Member = ["shop.archive/00000001", shop.subarray(0, half)];
  const second: Member = ["shop.archive/00000002", shop.subarray(half)];
  const other: Member = ["blog.archive/00000001", blog];
  const whole = tarOf(first, second, other);
  save("pieces.tar", whole);
  know("pieces.tar", whole);
  save("pieces-swapped.tar", tarOf(second, first, other));
  save("piece-missing.tar", tarOf(second, other));
  save("last-piece-missing.tar", tarOf(first, other));
  save("pieces-twice.tar", tarOf(first, second, other, first, second));
  save("cut-between-pieces.tar", whole.subarray(0, 512 * (1 + Math.ceil(half / 512))));
}

type Member = [name: string, content: Buffer];

function tarOf(...members: Member[]): Buffer {
  const archive = new DumpArchive(new SlabPool());
  const written = members.flatMap(([name, content]) =>
    [...archive.addSmall(name, content)].map((part) => Buffer.from(part)),
  );
  return Buffer.concat([...written, ...archive.finish()]);
}

async function command(): Promise<void> {
  const run = ["/bin/sh", "-c", "seq 1 2000; echo end"];
  const commands = { dump: { run, restore: null, verify: null } };
  const source = { type: "command" as const, name: "dump" };
  const plain = await good("dump.bin", source, "none", { commands });
  save("flipped.bin", flipped(plain, plain.indexOf("1000")));
  save("cut.bin", plain.subarray(0, 2000));
  const packed = await good("dump.bin.gz", source, "gzip", { commands });
  save("flipped.bin.gz", flipped(packed, packed.length - 100));
  save("cut.bin.gz", packed.subarray(0, -100));
}

type Change = Partial<Pick<BackupJob, "commands">> & Partial<Pick<BackupJob["pipeline"], "encryption">>;

/** Backs a source up and keeps the artifact, and what a master would know of it. */
async function good(name: string, ...how: HowMade): Promise<Buffer> {
  const bytes = await backedUp(name, ...how);
  save(name, bytes);
  know(name, bytes);
  return bytes;
}

type HowMade = [source: SourceSpec, compression: Compression, change?: Change, password?: string];

async function backedUp(
  name: string,
  ...[source, compression, change = {}, password]: HowMade
): Promise<Buffer> {
  const { commands = {}, ...packing } = change;
  const storage = memoryStorage();
  const workDir = mkdtempSync(join(scratch, "work-"));
  await runBackup({
    source,
    sourceSecrets: { password: password ?? null },
    commands,
    pipeline: { compression, level: null, ...packing },
    targets: [{ id: 1, name: "memory", storage, key: name, quotaRemainingBytes: null }],
    workDir,
    report: { progress: () => {}, log: () => {} },
    signal: new AbortController().signal,
  });
  return storage.objects.get(name) as Buffer;
}

function save(name: string, bytes: Buffer): void {
  writeFileSync(join(folder, name), bytes);
}

function know(name: string, bytes: Buffer, more: object = {}): void {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  artifacts[name] = { sha256, sizeBytes: bytes.length, ...more };
}

function files(path: string): SourceSpec {
  return { type: "file", paths: [path], excludes: [], oneFileSystem: false };
}

/** Two files, always the same but for a word. */
function makeTree(name: string, word: string): string {
  const root = join(scratch, name);
  mkdirSync(join(root, "sub"), { recursive: true });
  for (const [file, lines] of Object.entries({ "sub/a.txt": 40, "b.txt": 5 })) {
    const text = Array.from({ length: lines }, (_, i) => `${word} ${i} of ${lines}\n`).join("");
    writeFileSync(join(root, file), text);
    utimesSync(join(root, file), 1_700_000_000, 1_700_000_000);
  }
  return root;
}

async function withServer(
  start: () => Promise<DatabaseServer>,
  use: (server: DatabaseServer) => Promise<void>,
): Promise<void> {
  const server = await start();
  try {
    await use(server);
  } finally {
    await server.close();
  }
}
