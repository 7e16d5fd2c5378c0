import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mysqlOf, postgresqlOf } from "../engine/databases.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { childrenOf, signalAll } from "../processes.ts";
import { scratch, taskSpec, until } from "./agent-process.ts";
import { world } from "./world.ts";

// A dump that dies half-way, by the agent itself: the run has failed, the target has nothing, and no file is left anywhere.

/** Dumps are made by several programs one after the other, on machines that have other things to do. */
const patienceMs = 60_000;
const path = process.env["PATH"] ?? "";
const faults = { killed: "kill -9 $$", failing: "echo 'the disk broke' >&2; exit 1", ending: "exit 0" };
type Fault = keyof typeof faults;

/** A program that does as the real one does, for so many bytes of its output, and then dies in one of these ways. */
function dying(folder: string, program: string, fault: Fault, bytes: number): void {
  const real = spawnSync("sh", ["-c", 'command -v "$0"', program], { encoding: "utf8" }).stdout.trim();
  const version = `case "$*" in --version) exec "${real}" --version;; esac`;
  const script = `#!/bin/sh\n${version}\n"${real}" "$@" | head -c ${bytes}\n${faults[fault]}\n`;
  writeFileSync(join(folder, program), script, { mode: 0o755 });
}

type Setting = {
  source: { type: string; [field: string]: unknown };
  password?: string;
  env?: Record<string, string>;
  config?: object;
  bandwidth?: number;
};

/** A run by the real agent, and what is left of it in its target, its work directory and its temporary one. */
async function aRun(folder: string, { source, password, env = {}, config = {}, bandwidth }: Setting) {
  const temporary = join(folder, "tmp");
  const target = join(folder, "target");
  for (const made of [temporary, target]) mkdirSync(made);
  const configFile = join(folder, "agent.yaml");
  writeFileSync(configFile, JSON.stringify(config));
  const surroundings = { PATH: `${folder}:${path}`, TMPDIR: temporary, ...env };
  const made = await world({}, { args: ["--config", configFile], env: surroundings });
  const spec = taskSpec({
    recordId: 9,
    paths: [],
    targets: [{ type: "local_disk", config: { path: target } }],
    compression: "none",
    ...(bandwidth === undefined ? {} : { bandwidth }),
  });
  const sourceSecrets = { password: password ?? null };
  made.master.specs.set(7, { ...spec, type: source.type, source, sourceSecrets, sourcePath: "" });
  const command = made.master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = made.start();
  const left = () => [target, temporary, join(made.stateDir, "work")].flatMap(filesIn);
  return { ...made, agent, command, left };
}

async function expectFailed(run: Awaited<ReturnType<typeof aRun>>, words: RegExp): Promise<void> {
  const result = await until(() => run.command.results[0], "the result", run.agent.output, patienceMs);
  expect(result, run.agent.output()).toMatchObject({ success: false });
  expect(result?.errorMessage).toMatch(words);
  const final = run.master.recordReports.get(9)?.at(-1);
  expect(final).toMatchObject({ status: "failed", errorMessage: expect.stringMatching(words) });
  await run.agent.logged("result acknowledged");
  expect(run.left()).toEqual([]);
}

const filesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) =>
        entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
      )
    : [];

const said = {
  killed: /database big: .* was ended by SIGKILL/,
  failing: /database big: .* ended with code 1: .*the disk broke/,
};

describeWith(["pg_ctlcluster", "mariadbd", "mariadb-dump", "setpriv", "openssl"], "a server's dump", () => {
  let postgres: DatabaseServer;
  let mariadb: DatabaseServer;
  beforeAll(async () => {
    [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
    postgres.sql("create database big");
    postgres.sql("create table t as select repeat(md5(i::text), 4) from generate_series(1, 60000) i", "big");
    mariadb.sql(
      "create database big; use big; create table t as select repeat(md5(seq), 4) from seq_1_to_60000;",
    );
  });
  afterAll(() => Promise.all([postgres?.close(), mariadb?.close()]));

  // Of nearly 8 MB. What is less than a few frames would not have reached the target yet.
  const halfBytes = 5_000_000;
  const databases = ["big"];
  test.each<[Fault, RegExp]>([
    ["killed", said.killed],
    ["failing", said.failing],
    ["ending", /database big: .*pg_restore ended with code 1: .*end of file/],
  ])("of PostgreSQL, by a pg_dump that is %s in the middle", async (fault, words) => {
    const folder = scratch();
    dying(folder, "pg_dump", fault, halfBytes);
    const source = postgresqlOf(postgres, { databases, globals: false });
    await expectFailed(await aRun(folder, { source, password: postgres.password }), words);
  });

  test.each<[Fault, RegExp]>([
    ["killed", said.killed],
    ["failing", said.failing],
    ["ending", /the dump of database big was cut off before its end/],
  ])("of MariaDB, by a mariadb-dump that is %s in the middle", async (fault, words) => {
    const folder = scratch();
    dying(folder, "mariadb-dump", fault, halfBytes);
    const source = mysqlOf(mariadb, { databases });
    await expectFailed(await aRun(folder, { source, password: mariadb.password }), words);
  });
});

/** Puts a program that stands in for one that cannot be had into a folder. */
function install(folder: string, fake: string, program: string, ...args: string[]): void {
  const command = [process.execPath, resolve(import.meta.dirname, "../fakes", fake), ...args];
  const script = `#!/bin/sh\nexec ${command.map((word) => `"${word}"`).join(" ")} "$@"\n`;
  writeFileSync(join(folder, program), script, { mode: 0o755 });
}

describe("a dump of MongoDB", () => {
  test.each([
    ["kill", /mongodump was ended by SIGKILL/],
    ["die", /mongodump ended with code 1: .*error writing data for collection/],
    ["truncate", /the dump of database shop is damaged: it is cut off in a segment of shop\.orders/],
  ])("by a mongodump that dies in the middle (%s)", async (fault, words) => {
    const folder = scratch();
    for (const program of ["mongodump", "mongorestore", "mongosh"])
      install(folder, "mongo-tools.mjs", program, program);
    const orders = Array.from({ length: 3000 }, (_, i) => ({ _id: i, text: `order ${i}` }));
    const state = { user: "root", password: "secret", databases: { shop: { orders } }, fault };
    const stateFile = join(folder, "server.json");
    writeFileSync(stateFile, JSON.stringify(state));
    const source = {
      ...{
        type: "mongodb",
        host: "127.0.0.1",
        port: 27017,
        user: "root",
        tls: { mode: "prefer", caFile: null },
      },
      ...{ authDatabase: "admin", replicaSet: null, databases: ["shop"], excludeDatabases: [], oplog: false },
    };
    const env = { FAKE_MONGO: stateFile };
    await expectFailed(await aRun(folder, { source, password: "secret", env }), words);
  });
});

describe("a backup of SAP HANA", () => {
  test.each([
    ["kill", /database HDB: hdbsql was ended by SIGKILL/],
    ["die", /database HDB: hdbsql ended with code 9: .*447: backup could not be completed/],
    ["empty", /_databackup_0_1, which the server has written for HDB, is empty/],
  ])("by an hdbsql that dies in the middle, or a server that writes nothing (%s)", async (fault, words) => {
    const folder = scratch();
    install(folder, "hdbsql.mjs", "hdbsql");
    const directory = join(folder, "data");
    const stateFile = join(folder, "server.json");
    const state = { key: "BACKUP", databases: { HDB: "tenant" }, directory, catalog: [], fault };
    writeFileSync(stateFile, JSON.stringify(state));
    const source = {
      ...{ type: "saphana", host: "localhost", port: null, instance: "00", user: "BACKUP" },
      ...{ tls: { mode: "prefer", caFile: null }, databases: [], excludeDatabases: [] },
    };
    await expectFailed(await aRun(folder, { source, env: { FAKE_HANA: stateFile } }), words);
    expect(JSON.parse(readFileSync(stateFile, "utf8")).catalog).toHaveLength(2);
    expect(filesIn(directory)).toEqual([]);
  });
});

describe("the output of a command", () => {
  const source = { type: "command", name: "dump" };
  test.each<[Exclude<Fault, "ending">, RegExp]>([
    ["killed", /sh was ended by SIGKILL/],
    ["failing", /sh ended with code 1: the disk broke/],
  ])("that is %s in the middle", async (fault, words) => {
    const run = ["/bin/sh", "-c", `seq 1 1000000; ${faults[fault]}`];
    await expectFailed(await aRun(scratch(), { source, config: { commands: { dump: { run } } } }), words);
  });
});

describe("the copy of an SQLite database", () => {
  function aDatabase(folder: string): string {
    const file = join(folder, "app.db");
    const database = new DatabaseSync(file);
    database.exec(`create table t (i integer primary key, text text);
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000)
      insert into t select i, printf('row %400d', i) from n`);
    database.close();
    return file;
  }

  test("of one whose pages are damaged", async () => {
    const folder = scratch();
    const file = aDatabase(folder);
    writeFileSync(file, readFileSync(file).fill(0x5a, 100_000, 200_000));
    const source = { type: "sqlite", paths: [file] };
    await expectFailed(await aRun(folder, { source }), /integrity check|malformed/);
  });

  test("whose job is killed in the middle", async () => {
    const folder = scratch();
    const source = { type: "sqlite", paths: [aDatabase(folder)] };
    const run = await aRun(folder, { source, bandwidth: 20_000 });
    await until(
      () => run.left().length > 1,
      "a copy, and the first bytes of it",
      run.agent.output,
      patienceMs,
    );
    signalAll(childrenOf(run.agent.child.pid), "SIGKILL");
    await expectFailed(run, /the job's process was killed \(SIGKILL\)/);
  });
});
