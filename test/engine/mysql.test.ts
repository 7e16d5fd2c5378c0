import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RestoreJob } from "../../agent-cli/pipeline/pipeline.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { type DatabaseServer, startMariadb } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { mysqlOf, restoreOf } from "./databases.ts";
import { key, world } from "./world.ts";

/** A name that shells, SQL, option files and paths all read in their own way. */
const ugly = "Größe `z` #x; /../=1";

describeWith(["mariadbd", "mariadb-dump", "setpriv", "openssl", "zstd"], "MariaDB", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startMariadb();
    makeUgly(server, ugly);
    server.sql(
      "create database `quo'te\"d`; create database empty; create database UPPER; use UPPER; create table T (i int primary key) engine=innodb; insert into T select seq from seq_1_to_1000;",
    );
    server.sql(
      "create user 'some one'@'%' identified by 'geheim'; grant select on UPPER.* to 'some one'@'%';",
    );
  });
  afterAll(() => server?.close());

  const source = (change: Parameters<typeof mysqlOf>[1] = {}) => mysqlOf(server, change);
  const secrets = () => ({ password: server.password });
  const restoreJob = (
    from: ReturnType<typeof source>,
    options: Partial<RestoreJob["options"]> = {},
    change: Partial<RestoreJob> = {},
  ): Partial<RestoreJob> => ({ ...restoreOf(from, server.password, options), ...change });
  const databases = () => server.sql("show databases").split("\n");
  const drop = (name: string) => server.sql(`drop database if exists ${quote(name)}`);

  test("a database comes back under another name with every row and object", async () => {
    const { backup, restore } = world();
    const from = source({ databases: [ugly] });
    await backup({ source: from, sourceSecrets: secrets() });
    const copy = "co`py";
    await restore(restoreJob(from, { renameDatabases: { [ugly]: copy } }));
    const [restored, original] = [describe(server, copy), describe(server, ugly)];
    expect(original.length).toBeGreaterThan(20);
    expect(restored).toEqual(original);
    drop(copy);
  });

  test("all databases of a server; what exists is refused, kept or replaced", async () => {
    const { backup, restore } = world();
    const from = source();
    const made = await backup({ source: from, sourceSecrets: secrets() });
    expect(made).toMatchObject({
      entries: 4,
      warnings: [{ reason: expect.stringMatching(/MyISAM knows no transactions/) }],
    });
    await expect(restore(restoreJob(from))).rejects.toThrow(/would replace databases that exist: .*"empty"/);
    server.sql("drop table T", "UPPER");
    drop("empty");
    expect(await restore(restoreJob(from, {}, { conflict: "keep" }))).toMatchObject({ entries: 1 });
    expect(databases()).toContain("empty");
    await restore(restoreJob(from, { databases: ["UPPER"] }, { conflict: "overwrite" }));
    expect(server.sql("select count(*) from T", "UPPER")).toBe("1000");
  });

  test("a consistent view while somebody writes", async () => {
    server.sql(`create database busy; use busy;
      create table account (id int primary key, amount int) engine=innodb; insert into account select seq, 100 from seq_1_to_2000;`);
    const move =
      "start transaction; update account set amount = amount + 1 where id % 2 = 0; update account set amount = amount - 1 where id % 2 = 1; commit;\n";
    const writer = server.start(move.repeat(400), "busy");
    const { backup, restore } = world();
    const from = source({ databases: ["busy"] });
    await backup({ source: from, sourceSecrets: secrets() });
    writer.kill();
    await restore(restoreJob(from, { renameDatabases: { busy: "busy2" } }));
    expect(server.sql("select count(*), sum(amount) from account", "busy2")).toBe("2000\t200000");
    for (const name of ["busy", "busy2"]) drop(name);
  });

  test("by socket, and with TLS as strict as it is asked for", async () => {
    const { backup } = world();
    const run = (change: Parameters<typeof source>[0]) =>
      backup({ source: source({ databases: ["UPPER"], ...change }), sourceSecrets: secrets() });
    await run({ host: server.socket });
    await run({ tls: { mode: "disable", caFile: null } });
    await run({ tls: { mode: "verify-full", caFile: server.caFile } });
    await expect(run({ tls: { mode: "verify-full", caFile: null } })).rejects.toThrow(/certificate/);
    server.sql(
      "create user secure@'%' identified by 'x' require ssl; grant select, show view, trigger, event on UPPER.* to secure@'%'",
    );
    const secure = (mode: "disable" | "prefer" | "require") =>
      backup({
        source: source({ databases: ["UPPER"], user: "secure", tls: { mode, caFile: null } }),
        sourceSecrets: { password: "x" },
      });
    await secure("prefer");
    await secure("require");
    await expect(secure("disable")).rejects.toThrow(/Access denied/);
  });

  test("an error in the middle of a dump stops the restore, and removes what it has made", async () => {
    const { backup, restore, storage } = world();
    const from = source({ databases: ["UPPER"] });
    const compression = "none";
    await backup({ source: from, sourceSecrets: secrets(), compression });
    const dump = (storage.objects.get(key) as Buffer).toString("latin1");
    storage.objects.set(key, Buffer.from(dump.replace("LOCK TABLES", "LOKC TABLES"), "latin1"));
    const before = databases();
    const job = restoreJob(from, { renameDatabases: { UPPER: "lower" } }, { compression });
    await expect(restore(job)).rejects.toThrow(/database lower: .*ERROR 1064.*LOKC/s);
    expect(databases()).toEqual(before);
    storage.objects.set(
      key,
      Buffer.from(dump.replace("LOCK TABLES", "\\! touch /tmp/x\nLOCK TABLES"), "latin1"),
    );
    await expect(restore(job)).rejects.toThrow(/sandbox/);
    expect(databases()).toEqual(before);
  });

  test("MariaDB's own client opens the artifacts alone", async () => {
    const { backup, storage, root } = world();
    const env = { ...process.env, MYSQL_PWD: server.password };
    const client = `mariadb --no-defaults --socket=${server.socket} --user=root`;
    const shell = (script: string) => {
      const { status, stderr, stdout } = spawnSync("sh", ["-c", script], {
        input: storage.objects.get(key),
        env,
        cwd: root,
      });
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
      return stdout.toString();
    };
    await backup({ source: source({ databases: ["UPPER"] }), sourceSecrets: secrets() });
    server.sql("create database alone1; create database alone2");
    shell(`zstd -dc | ${client} alone1`);
    expect(server.sql("select count(*) from T", "alone1")).toBe("1000");
    await backup({ source: source(), sourceSecrets: secrets() });
    shell(`zstd -dc | tar -xO UPPER.sql | ${client} alone2`);
    expect(server.sql("select count(*) from T", "alone2")).toBe("1000");
    expect(shell("zstd -dc | tar -xO users.sql")).toContain("`some one`@`%`");
    for (const name of ["alone1", "alone2"]) drop(name);
  });

  test("discovery and a dry run tell the databases with their sizes", async () => {
    const { workDir } = world();
    const access = {
      secrets: secrets(),
      commands: {},
      workDir: workDir(),
      signal: new AbortController().signal,
      ownPaths: [],
    };
    const { discover, preview } = sourceOf("mysql");
    const found = await discover?.(source() as never, access);
    expect(found?.map(({ name }) => name).toSorted()).toEqual(
      ["UPPER", "empty", "quo'te\"d", ugly].toSorted(),
    );
    expect(await preview(source({ excludeDatabases: ["empty"] }), access)).toMatchObject({
      complete: true,
      entries: 3,
    });
    expect(readdirSync(access.workDir)).toEqual([]);
  });
});

const quote = (name: string) => `\`${name.replaceAll("`", "``")}\``;

function makeUgly(server: DatabaseServer, name: string): void {
  server.sql(`create database ${quote(name)} character set latin2 collate latin2_czech_cs;`);
  server.sql(
    `create table \`T able.1\` (
      id bigint unsigned auto_increment primary key, \`raw\` longblob, words text character set utf8mb4, doc json,
      m enum('sad', 'ök', 'ha''ppy'), flags set('a', 'b'), twice int, doubled int generated always as (twice * 2) stored,
      tripled int generated always as (twice * 3) virtual, n decimal(30, 10), at timestamp(6) default current_timestamp(6),
      bits bit(9), unique key (twice), fulltext key (words)) engine=innodb;
    insert into \`T able.1\` (\`raw\`, words, doc, m, flags, twice, n, bits)
      select concat(unhex(md5(seq)), x'00ff0a0d5c271a'), concat('žluťoučký \\t\\n\\\\ \\'" 🐘 \\0\\Z ', seq),
        json_object('i', seq, 'ключ', 'a\\nb'), 'ha''ppy', 'a,b', seq, seq / 7, b'101010101' from seq_1_to_3000;
    insert into \`T able.1\` (id, \`raw\`) values (9000, null), (9001, '');
    create table child (id int primary key, parent bigint unsigned, foreign key (parent) references \`T able.1\` (id) on delete cascade) engine=innodb;
    insert into child select seq, seq from seq_1_to_500;
    create table old (i int, t text) engine=MyISAM; insert into old values (1, 'x'), (2, null);
    create table zero (id int auto_increment primary key); set sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; insert into zero values (0), (5);
    create view seen as select c.id, t.words from child c join \`T able.1\` t on t.id = c.parent;
    create sequence steps start with 100 increment by 7; select nextval(steps), nextval(steps);
    create table parted (d int) partition by range (d) (partition p0 values less than (10), partition p1 values less than maxvalue);
    insert into parted values (1), (100);
    delimiter //
    create function shout(t text) returns text deterministic begin return concat(upper(t), '; -- "x" ''y''
-- Current Database'); end //
    create procedure fill(in n int) begin insert into old values (n, 'p'); end //
    create trigger stamped before insert on child for each row begin set new.id = new.id; end //
    create event nightly on schedule every 1 day starts '2035-01-01' do begin delete from old where i < 0; end //
    delimiter ;`,
    name,
  );
}

/** Everything that a restore must bring back, as text: tables with their rows' checksums, and what else there is. */
function describe(server: DatabaseServer, database: string): string[] {
  const is = (column: string) => `${column} = '${database.replace(/[\\']/g, "\\$&")}'`;
  const ask = (sql: string) => server.sql(sql, database).split("\n");
  const tables = ask(
    `select table_name from information_schema.tables where ${is("table_schema")} and table_type = 'BASE TABLE' order by 1`,
  );
  return [
    ...ask(
      `select default_character_set_name, default_collation_name from information_schema.schemata where ${is("schema_name")}`,
    ),
    ...tables.map((table) =>
      ask(`select count(*) from ${quote(table)}; checksum table ${quote(table)} extended`)
        .map((line) => line.slice(line.lastIndexOf("\t") + 1))
        .join(" "),
    ),
    ...tables.flatMap((table) => ask(`show create table ${quote(table)}`)),
    ...ask("show create view seen; show create sequence steps; select next_not_cached_value from steps"),
    ...ask(
      `select routine_name, routine_type, routine_definition, definer from information_schema.routines where ${is("routine_schema")} order by 1`,
    ),
    ...ask(
      `select trigger_name, event_manipulation, action_statement from information_schema.triggers where ${is("trigger_schema")}`,
    ),
    ...ask(
      `select event_name, event_definition, interval_value, starts, status from information_schema.events where ${is("event_schema")}`,
    ),
    ...ask(
      `select constraint_name, table_name, referenced_table_name, delete_rule from information_schema.referential_constraints where ${is("constraint_schema")}`,
    ),
    ...ask("select id, hex(raw), words, doc, hex(bits), at from `T able.1` order by id limit 20"),
    ...ask("select shout('a')"),
  ];
}
