import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { gradeReached } from "../../protocol/verification.ts";
import {
  type DatabaseServer,
  neverRestored,
  startMariadb,
  startPostgres,
  temporaryServersBelow,
} from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { signalAll } from "../processes.ts";
import { mysqlOf, postgresqlOf } from "./databases.ts";
import { details, verifierOf } from "./verifier.ts";
import { key, world } from "./world.ts";

/** A backup of a server, and how to verify it as it is stored now. */
async function backedUp(source: SourceSpec, password: string) {
  const w = world();
  await w.backup({
    source,
    sourceSecrets: { password },
    pipeline: { compression: "none", level: null },
  });
  return { ...w, ...verifierOf(w, source) };
}

/** Whether a server below that folder is at work on what it was given to load. */
const isWaiting = (folder: string): boolean =>
  temporaryServersBelow(folder).some(({ pid }) =>
    /REFRESH MATERIALIZED VIEW/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")),
  );

describeWith(["pg_ctlcluster", "setpriv", "openssl"], "a backup of PostgreSQL", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startPostgres();
    server.sql(`create role "Own er"; create database "Größe x" owner "Own er"; create database small;`);
    server.sql(
      `create table "t ""1""" as select i, repeat('\\.', 3) || E'\\n' || i as text from generate_series(1, 5000) i;
       create schema s; create table s.empty (i int); create table s."COPY x FROM stdin;" (i int);
       insert into s."COPY x FROM stdin;" values (1), (2);
       create table parts (i int) partition by range (i);
       create table part_1 partition of parts for values from (1) to (10); insert into parts values (1), (2), (3);`,
      "Größe x",
    );
    server.sql("create table t as select 1 as i", "small");
  });
  afterAll(() => server?.close());

  test("is read through, loaded into a server of its own, and every table has as many rows as the dump", async () => {
    for (const change of [{}, { databases: ["Größe x"], globals: false }]) {
      const { verify, workDir } = await backedUp(postgresqlOf(server, change), server.password);
      const report = await verify(4);
      expect(gradeReached(report.checks), details(report).join("\n")).toBe(4);
      const { detail } = report.checks.at(-1) ?? {};
      expect(detail).toMatch(
        /^loaded into PostgreSQL \d+.*: \d databases?, \d+ tables and \d+ rows, as many/,
      );
      expect(detail).toContain("databases" in change ? "5 tables and 5005 rows" : "6 tables and 5006 rows");
      expect(readdirSync(workDir)).toEqual([]);
    }
  });

  test("whose dump was cut off before it was stored is found when it is opened", async () => {
    const { verify, storage } = await backedUp(
      postgresqlOf(server, { databases: ["Größe x"], globals: false }),
      server.password,
    );
    const stored = storage.objects.get(key) as Buffer;
    storage.objects.set(key, stored.subarray(0, stored.length - 2000));
    const report = await verify(4);
    expect(gradeReached(report.checks)).toBe(2);
    expect(details(report).at(-1)).toMatch(/^3 damaged: the backup is damaged: pg_restore ended with code 1/);
  });

  test("is not called damaged when the program that reads it is killed", async () => {
    const { verify, root } = await backedUp(
      postgresqlOf(server, { databases: ["small"], globals: false }),
      server.password,
    );
    const before = process.env["PATH"];
    writeFileSync(join(root, "pg_restore"), "#!/bin/sh\nkill -9 $$\n", { mode: 0o755 });
    process.env["PATH"] = `${root}:${before}`;
    const report = await verify(4).finally(() => {
      process.env["PATH"] = before;
    });
    expect(gradeReached(report.checks)).toBe(2);
    expect(details(report).at(-1)).toBe("3 not_checked: pg_restore was ended by SIGKILL");
  });

  test("keeps the third grade when the server dies that it is loaded into, and leaves nothing of it", async () => {
    server.sql("create database slow");
    server.sql(neverRestored, "slow");
    const { verify, workDir } = await backedUp(
      postgresqlOf(server, { databases: ["slow"], globals: false }),
      server.password,
    );
    const verifying = verify(4);
    verifying.catch(() => {});
    // Its server's own process and the one that waits for the function: all of them end.
    await expect.poll(() => isWaiting(workDir), { timeout: 60_000, interval: 50 }).toBe(true);
    signalAll(
      temporaryServersBelow(workDir).map(({ pid }) => pid),
      "SIGQUIT",
    );
    const report = await verifying;
    expect(gradeReached(report.checks)).toBe(3);
    expect(details(report).at(-1)).toMatch(
      /^4 not_checked: it could not be loaded into a temporary server here: database slow: pg_restore /,
    );
    expect(readdirSync(workDir)).toEqual([]);
    expect(temporaryServersBelow(workDir)).toEqual([]);
    server.sql("drop database slow");
  });

  test("keeps the third grade and says why where no server can be started", async () => {
    const { verify, workDir, root } = await backedUp(postgresqlOf(server), server.password);
    const before = process.env["PATH"];
    writeFileSync(join(root, "initdb"), "#!/bin/sh\necho no such locale >&2; exit 1\n", { mode: 0o755 });
    chmodSync(root, 0o755);
    process.env["PATH"] = `${root}:${before}`;
    const report = await verify(4).finally(() => {
      process.env["PATH"] = before;
    });
    expect(gradeReached(report.checks)).toBe(3);
    expect(details(report).at(-1)).toBe(
      "4 not_checked: no temporary server could be started here: initdb: no such locale",
    );
    expect(readdirSync(workDir)).toEqual([]);
  });
});

describeWith(["mariadbd", "mariadb-dump", "setpriv", "openssl"], "a backup of MariaDB", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startMariadb();
    server.sql(
      `create database \`Größe x\`; use \`Größe x\`; create table \`t 1\` (i int primary key, t text);
       insert into \`t 1\` select seq, concat('x', seq) from seq_1_to_3000;
       create view v as select count(*) from \`t 1\`; create table empty (i int);
       create table \`a\`\`(b\` (i int, double_i int as (i * 2), text text, bytes blob);
       insert into \`a\`\`(b\` (i, text, bytes) values (1, '),(', x'272829'), (2, 'it''s \\\\', ';'), (3, '\\n);', null);
       create table one (i int) engine = MyISAM; create table both_of (i int) engine = MERGE union = (one);
       insert into one values (1);
       create trigger grow before insert on empty for each row
         set @x = 'a
INSERT INTO \`t 1\` VALUES (1,2);';
       create database small; use small; create table t (i int); insert into t values (1), (2);`,
    );
  });
  afterAll(() => server?.close());

  test("is read through, loaded into a server of its own, and every table has as many rows as the dump", async () => {
    for (const change of [{}, { databases: ["Größe x"] }]) {
      const { verify, workDir } = await backedUp(mysqlOf(server, change), server.password);
      const report = await verify(4);
      expect(gradeReached(report.checks), details(report).join("\n")).toBe(4);
      const { detail } = report.checks.at(-1) ?? {};
      expect(detail).toMatch(/^loaded into MariaDB \d+.*, as many in each table as in the dump$/);
      expect(detail).toContain("databases" in change ? "4 tables and 3004 rows" : "5 tables and 3006 rows");
      expect(readdirSync(workDir)).toEqual([]);
    }
  });

  test("whose dump was cut off before it was stored is found when it is opened", async () => {
    const { verify, storage } = await backedUp(mysqlOf(server, { databases: ["small"] }), server.password);
    const stored = storage.objects.get(key) as Buffer;
    storage.objects.set(key, stored.subarray(0, stored.length - 60));
    const report = await verify(4);
    expect(gradeReached(report.checks)).toBe(2);
    expect(details(report).at(-1)).toMatch(/^3 damaged: .*the dump of database small is cut off/);
  });

  test("that does not load all of its rows is damaged, and it is told which table", async () => {
    const { verify, storage } = await backedUp(mysqlOf(server, { databases: ["small"] }), server.password);
    const stored = (storage.objects.get(key) as Buffer).toString();
    const damaged = stored.replace("UNLOCK TABLES;", "DELETE FROM `t` WHERE i = 2;\nUNLOCK TABLES;");
    storage.objects.set(key, Buffer.from(damaged));
    const report = await verify(4);
    expect(gradeReached(report.checks)).toBe(3);
    expect(report.differences).toEqual([{ path: "small.t", reason: "it has 1 rows, and the dump 2" }]);
    expect(details(report).at(-1)).toMatch(/^4 damaged: loaded into MariaDB .*, its rows differ: small\.t: /);
  });

  test("whose rows no INSERT tells is not given the fourth grade", async () => {
    const { verify, storage } = await backedUp(mysqlOf(server, { databases: ["small"] }), server.password);
    const stored = (storage.objects.get(key) as Buffer).toString();
    const foreign = stored.replace("-- Dump completed", "CREATE TABLE u AS SELECT 1;\n-- Dump completed");
    storage.objects.set(key, Buffer.from(foreign));
    const report = await verify(4);
    expect(gradeReached(report.checks)).toBe(3);
    expect(details(report).at(-1)).toMatch(
      /^4 not_checked: .* how many rows the dump has of small\.u is unknown/,
    );
  });

  test("that no server takes keeps the third grade and says why", async () => {
    const { verify, storage } = await backedUp(mysqlOf(server, { databases: ["small"] }), server.password);
    const stored = storage.objects.get(key) as Buffer;
    storage.objects.set(key, Buffer.concat([Buffer.from("create nonsense;\n"), stored]));
    const report = await verify(4);
    expect(gradeReached(report.checks)).toBe(3);
    expect(details(report).at(-1)).toMatch(
      /^4 not_checked: it could not be loaded into a temporary server here: /,
    );
  });
});
