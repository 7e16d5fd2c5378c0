import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RestoreJob } from "../../agent-cli/pipeline/pipeline.ts";
import { sourceOf } from "../../agent-cli/sources/open-source.ts";
import { type DatabaseServer, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { postgresqlOf, restoreOf } from "./databases.ts";
import { key, world } from "./world.ts";

/** A name that shells, SQL, connection strings and paths all read in their own way. */
const ugly = `Größe "x" 'y' \\z /../=1`;

describeWith(["pg_ctlcluster", "setpriv", "openssl", "zstd"], "PostgreSQL", () => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startPostgres();
    server.sql(`create role "Own er" password 'geheim'; create role reader; grant reader to "Own er";`);
    makeUgly(server, ugly);
    server.sql(`create database empty;`);
    server.sql(`create database "UPPER";`);
    server.sql("create table t as select i from generate_series(1, 1000) i", "UPPER");
  });
  afterAll(() => server?.close());

  const source = (change: Parameters<typeof postgresqlOf>[1] = {}) => postgresqlOf(server, change);
  const secrets = () => ({ password: server.password });
  const restoreJob = (
    from: ReturnType<typeof source>,
    options: Partial<RestoreJob["options"]> = {},
    change: Partial<RestoreJob> = {},
  ): Partial<RestoreJob> => ({ ...restoreOf(from, server.password, options), ...change });
  const databases = () =>
    server.sql("select datname from pg_database where not datistemplate order by 1").split("\n");
  const drop = (name: string) =>
    server.sql(`drop database if exists "${name.replaceAll('"', '""')}" with (force)`);

  test("a database comes back under another name with every row, object, owner and setting", async () => {
    const { backup, restore, storage } = world();
    const from = source({ databases: [ugly] });
    await backup({ source: from, sourceSecrets: secrets() });
    expect(storage.objects.has(key)).toBe(true);
    const copy = "co'py";
    await restore(restoreJob(from, { renameDatabases: { [ugly]: copy } }));
    expect(describe(server, copy)).toEqual(describe(server, ugly));
    expect(properties(server, copy)).toEqual(properties(server, ugly));
    drop(copy);
  });

  test("all databases of a server and its roles; what exists is refused, kept or replaced", async () => {
    const { backup, restore } = world();
    const from = source();
    const made = await backup({ source: from, sourceSecrets: secrets() });
    expect(made).toMatchObject({ entries: 3, warningCount: 0 });
    await expect(restore(restoreJob(from))).rejects.toThrow(/would replace databases that exist: .*"empty"/);
    server.sql("drop table t", "UPPER");
    drop("empty");
    expect(await restore(restoreJob(from, {}, { conflict: "keep" }))).toMatchObject({ entries: 1 });
    expect(databases()).toContain("empty");
    await restore(restoreJob(from, { databases: ["UPPER"] }, { conflict: "overwrite" }));
    expect(server.sql("select count(*) from t", "UPPER")).toBe("1000");
    expect(databases().filter((name) => name.startsWith("backupx"))).toEqual([]);
  });

  test("a consistent view while somebody writes", async () => {
    server.sql(`create database busy`);
    server.sql(
      "create table account (id int primary key, amount int); insert into account select i, 100 from generate_series(1, 2000) i",
      "busy",
    );
    const move = `update account set amount = amount + case when id % 2 = 0 then 1 else -1 end;`;
    const writer = server.start(move.repeat(400), "busy");
    const { backup, restore } = world();
    const from = source({ databases: ["busy"], globals: false });
    await backup({ source: from, sourceSecrets: secrets() });
    writer.kill();
    await restore(restoreJob(from, { renameDatabases: { busy: "busy2" } }));
    expect(server.sql("select count(*), sum(amount) from account", "busy2")).toBe("2000|200000");
    for (const name of ["busy", "busy2"]) drop(name);
  });

  test("roles that are gone are made again, those that exist stay as they are; or owners are left out", async () => {
    server.sql(
      "create role ghost password 'boo' createdb; create role boss; grant boss to ghost; create role stays password 'old'",
    );
    server.sql("create database haunted owner ghost");
    server.sql("create table t (i int); alter table t owner to ghost; grant select on t to boss", "haunted");
    const { backup, restore } = world();
    const from = source({ databases: ["haunted"] });
    await backup({ source: from, sourceSecrets: secrets() });
    drop("haunted");
    const hash = () => server.sql("select rolpassword from pg_authid where rolname = 'stays'");
    server.sql("drop role ghost; drop role boss; alter role stays password 'new'");
    const kept = hash();
    await expect(restore(restoreJob(from))).rejects.toThrow(
      /role "(ghost|boss)" does not exist.*restore the roles too/,
    );
    expect(databases()).not.toContain("haunted");
    await restore(restoreJob(from, { owners: false }));
    expect(server.sql("select tableowner from pg_tables where tablename = 't'", "haunted")).toBe("postgres");
    await restore(restoreJob(from, { roles: true }, { conflict: "overwrite" }));
    expect(server.sql("select tableowner from pg_tables where tablename = 't'", "haunted")).toBe("ghost");
    expect(
      server.sql(
        "select rolcreatedb, pg_has_role('ghost', 'boss', 'member') from pg_roles where rolname = 'ghost'",
      ),
    ).toBe("t|t");
    expect(hash()).toBe(kept);
    drop("haunted");
  });

  test("a database that is to be replaced stays, with those who use it, until the new one is whole", async () => {
    server.sql("create database old");
    server.sql(
      "create role fleeting; create table t (i int); insert into t values (1); alter table t owner to fleeting",
      "old",
    );
    const { backup, restore } = world();
    const from = source({ databases: ["old"], globals: false });
    await backup({ source: from, sourceSecrets: secrets() });
    server.sql("alter table t owner to postgres; drop role fleeting; insert into t values (2)", "old");
    const overwrite = { conflict: "overwrite" } as const;
    await expect(restore(restoreJob(from, {}, overwrite))).rejects.toThrow(/"fleeting" does not exist/);
    expect(server.sql("select count(*) from t", "old")).toBe("2");
    server.sql("create role fleeting");
    const user = server.start("select pg_sleep(600)", "old");
    await restore(restoreJob(from, {}, overwrite));
    user.kill();
    expect(server.sql("select count(*) from t", "old")).toBe("1");
    drop("old");
    server.sql("drop role fleeting");
  });

  test("by socket, and with TLS as strict as it is asked for", async () => {
    const { backup } = world();
    const run = (change: Parameters<typeof source>[0]) =>
      backup({
        source: source({ databases: ["UPPER"], globals: false, ...change }),
        sourceSecrets: secrets(),
      });
    await run({ host: server.socket });
    await run({ tls: { mode: "require", caFile: null } });
    await run({ tls: { mode: "verify-full", caFile: server.caFile } });
    await expect(run({ tls: { mode: "verify-full", caFile: null } })).rejects.toThrow(/certificate/);
  });

  test("programs that are older than the server are told before anything is read", async () => {
    const { backup, root } = world();
    const fake = join(root, "pg_dump");
    writeFileSync(fake, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n", { mode: 0o755 });
    const path = process.env["PATH"];
    process.env["PATH"] = `${root}:${path}`;
    try {
      await expect(backup({ source: source(), sourceSecrets: secrets() })).rejects.toThrow(
        /the server is PostgreSQL \d+ and this machine's pg_dump is of version 9: install the client programs/,
      );
    } finally {
      process.env["PATH"] = path;
    }
  });

  test("tables that are excluded are not in it, or without their rows", async () => {
    const { backup, restore } = world();
    server.sql("create database shop");
    server.sql(
      "create table a (i int); create table b (i int); insert into a values (1); insert into b values (1)",
      "shop",
    );
    const from = source({
      databases: ["shop"],
      globals: false,
      excludeTables: ["public.a"],
      excludeTableData: ["b"],
    });
    await backup({ source: from, sourceSecrets: secrets() });
    await restore(restoreJob(from, {}, { conflict: "overwrite" }));
    expect(
      server.sql("select string_agg(tablename, ',') from pg_tables where schemaname = 'public'", "shop"),
    ).toBe("b");
    expect(server.sql("select count(*) from b", "shop")).toBe("0");
    drop("shop");
  });

  test("what cannot be restored as asked is refused in words", async () => {
    const { backup, restore } = world();
    const from = source({ databases: ["UPPER", "empty"] });
    await backup({ source: from, sourceSecrets: secrets() });
    await expect(restore(restoreJob(from, { databases: ["upper"] }))).rejects.toThrow(
      'not in this backup: "upper"',
    );
    await expect(restore(restoreJob(from, { renameDatabases: { UPPER: "x", empty: "x" } }))).rejects.toThrow(
      'two databases would get the name "x"',
    );
    const toFile = restoreJob(from, { databases: ["UPPER"] }, { destination: "/tmp/x" });
    await expect(restore(toFile)).rejects.toThrow(/a destination gets the whole dump/);
  });

  test("a destination gets the dump itself, which touches no server", async () => {
    const { backup, restore, root } = world();
    const from = source({ databases: ["UPPER"], globals: false });
    await backup({ source: from, sourceSecrets: secrets() });
    const destination = join(root, "upper.dump");
    const before = databases();
    expect(await restore(restoreJob(from, {}, { destination }))).toMatchObject({ entries: 1 });
    expect(databases()).toEqual(before);
    const listed = spawnSync("pg_restore", ["--list", destination], { encoding: "utf8" });
    expect(listed).toMatchObject({ status: 0, stdout: expect.stringContaining("TABLE DATA public t") });
  });

  test("PostgreSQL's own programs open the artifacts alone", async () => {
    const { backup, storage, root } = world();
    const env = {
      ...process.env,
      PGHOST: server.socket,
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGPASSWORD: server.password,
    };
    const shell = (script: string, input: Buffer | undefined) => {
      const { status, stderr, stdout } = spawnSync("sh", ["-c", script], { input, env, cwd: root });
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
      return stdout.toString();
    };
    await backup({ source: source({ databases: ["UPPER"], globals: false }), sourceSecrets: secrets() });
    server.sql("create database alone1");
    shell("zstd -dc | pg_restore --exit-on-error --dbname=alone1", storage.objects.get(key));
    expect(server.sql("select count(*) from t", "alone1")).toBe("1000");
    await backup({ source: source(), sourceSecrets: secrets() });
    server.sql("create database alone2");
    shell(
      "zstd -dc | tar -xO UPPER.dump | pg_restore --exit-on-error --dbname=alone2",
      storage.objects.get(key),
    );
    expect(server.sql("select count(*) from t", "alone2")).toBe("1000");
    expect(shell("zstd -dc | tar -xO globals.sql", storage.objects.get(key))).toContain(
      `CREATE ROLE "Own er"`,
    );
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
    const { discover, preview } = sourceOf("postgresql");
    const found = await discover?.(source() as never, access);
    expect(found?.map(({ name }) => name).toSorted()).toEqual(
      ["UPPER", "empty", "postgres", ugly].toSorted(),
    );
    expect(found?.every(({ sizeBytes }) => Number(sizeBytes) > 1_000_000)).toBe(true);
    expect(await preview(source({ excludeDatabases: ["empty"] }), access)).toMatchObject({
      complete: true,
      entries: 2,
    });
    expect(readdirSync(access.workDir)).toEqual([]);
  });
});

function makeUgly(server: DatabaseServer, name: string): void {
  const quoted = `"${name.replaceAll('"', '""')}"`;
  server.sql(`create database ${quoted} owner "Own er"; alter database ${quoted} set work_mem = '7MB';
    grant connect on database ${quoted} to reader; comment on database ${quoted} is 'it''s "quoted"; \\ and more';`);
  server.sql(
    `create schema "Sche.ma"; create type mood as enum ('sad', 'ök', 'ha''ppy');
    create table "Sche.ma"."T able" (
      id bigint generated always as identity primary key, raw bytea, words text, doc jsonb, m mood, many text[],
      twice int, doubled int generated always as (twice * 2) stored, at timestamptz default now(), n numeric(30, 10));
    insert into "Sche.ma"."T able" (raw, words, doc, m, many, twice, n)
      select decode(md5(i::text), 'hex') || '\\x00ff0a0d5c27'::bytea, E'žluťoučký \\t\\n\\\\ \\'"; 🐘 \\u0001' || i,
        jsonb_build_object('i', i, 'ключ', E'a\\nb'), 'ha''ppy', array['a,b', null, '{"x"}', E'\\\\'], i, i / 7.0
      from generate_series(1, 3000) i;
    insert into "Sche.ma"."T able" (raw) values (null), (''::bytea);
    create table child (id int primary key, parent bigint references "Sche.ma"."T able" on delete cascade);
    insert into child select i, i from generate_series(1, 500) i;
    create index on child (parent);
    create view seen as select c.id, t.words from child c join "Sche.ma"."T able" t on t.id = c.parent;
    create materialized view counted as select count(*) from child;
    create sequence steps increment 7 start 100; select nextval('steps'), nextval('steps');
    create function shout(t text) returns text language sql as $f$ select upper(t) || '; -- "x" \\ $$' $f$;
    create function stamp() returns trigger language plpgsql as $f$ begin new.id = new.id; return new; end $f$;
    create trigger stamped before insert on child for each row execute function stamp();
    create table parted (day date, v int) partition by range (day);
    create table parted_1 partition of parted for values from ('2020-01-01') to ('2021-01-01');
    insert into parted values ('2020-06-01', 1);
    select lo_from_bytea(4711, '\\x00112233445566778899'::bytea);
    alter table child owner to "Own er"; grant select on seen to reader;
    create publication news for table child;`,
    name,
  );
}

/** Everything that a restore must bring back, as text: tables with their rows' checksums, and what else there is. */
function describe(server: DatabaseServer, database: string): string[] {
  const ask = (sql: string) => server.sql(sql, database).split("\n");
  const tables = ask(`select format('%I.%I', schemaname, tablename) from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema') order by 1`);
  const rows = tables
    .filter(Boolean)
    .map((table) =>
      server.sql(
        `select '${table.replaceAll("'", "''")}', count(*), md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${table} t`,
        database,
      ),
    );
  return [
    ...rows,
    ...ask("select loid, pageno, md5(data) from pg_largeobject order by 1, 2"),
    ...ask("select sequencename, last_value, increment_by from pg_sequences order by 1"),
    ...ask("select viewname, definition from pg_views where schemaname !~ '^(pg_|inf)' order by 1"),
    ...ask("select matviewname, definition from pg_matviews order by 1"),
    ...ask(
      "select proname, prosrc from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname !~ '^(pg_|inf)' order by 1",
    ),
    ...ask("select tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1"),
    ...ask(
      "select conname, pg_get_constraintdef(oid) from pg_constraint where connamespace::regnamespace::text !~ '^(pg_|inf)' order by 1",
    ),
    ...ask("select indexdef from pg_indexes where schemaname !~ '^(pg_|inf)' order by 1"),
    ...ask(
      "select relname, relowner::regrole, relacl from pg_class c join pg_namespace n on n.oid = relnamespace where nspname !~ '^(pg_|inf)' order by 1",
    ),
    ...ask("select enumlabel from pg_enum order by enumsortorder"),
    ...ask("select pubname from pg_publication"),
  ];
}

const properties = (server: DatabaseServer, name: string): string =>
  server.sql(`select datdba::regrole, pg_encoding_to_char(encoding), datcollate, datacl, setconfig, shobj_description(d.oid, 'pg_database')
    from pg_database d left join pg_db_role_setting s on s.setdatabase = d.oid
    where datname = E'${name.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`);
