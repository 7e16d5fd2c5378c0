import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { runAgentCommand, scratch, until } from "./agent-process.ts";
import { storageFile } from "./served-storages.ts";

describeWith(["pg_ctlcluster", "mariadbd", "setpriv", "openssl"], "databases without a master", () => {
  test("PostgreSQL: one database and a whole server, from and to addresses", async () => {
    const server = await startPostgres();
    onTestFinished(() => server.close());
    server.sql("create role who; create database app");
    server.sql(
      "create table t as select i from generate_series(1, 100) i; alter table t owner to who",
      "app",
    );
    const folder = scratch();
    const passwordFile = join(folder, "password");
    writeFileSync(passwordFile, `${server.password}\n`);
    const at = `postgresql://postgres@127.0.0.1:${server.port}`;
    const count = (database: string) => server.sql("select count(*) from t", database);
    const made = await backup([`${at}/app`, "--to", join(folder, "out"), "--password-file", passwordFile]);
    expect(made).toMatch(/\.dump\.zst$/);
    expect(await run(["restore", made, "--to", `${at}/copy`, "--password-file", passwordFile])).toMatchObject(
      { code: 0 },
    );
    expect(count("copy")).toBe("100");
    const there = ["--storage", storageFile(folder, { type: "local_disk", path: join(folder, "disk") })];
    const key = await backup([`${at}/app`, ...there, "--password-file", passwordFile]);
    const toServer = ["--to", `${at}/from_storage`, "--password-file", passwordFile];
    expect(await run(["restore", key, ...there, ...toServer])).toMatchObject({ code: 0 });
    expect(count("from_storage")).toBe("100");
    expect(await run(["verify", key, ...there])).toMatchObject({
      stdout: expect.stringMatching(/^3 +passed/m),
    });
    server.sql("drop database from_storage");
    const env = { BACKUPX_DATABASE_PASSWORD: server.password };
    const all = await backup([`${at}?socket=${server.socket}`, "--to", join(folder, "all")], env);
    expect(all).toMatch(/\.tar\.zst$/);
    server.sql("drop database copy; drop database app; drop role who");
    const options = ["--database", "app=new", "--roles"];
    expect(await run(["restore", all, "--to", at, ...options], env)).toMatchObject({ code: 0 });
    expect(count("new")).toBe("100");
    const file = join(folder, "app.dump");
    expect(await run(["restore", made, "--to", file])).toMatchObject({ code: 0 });
    expect(statSync(file).size).toBeGreaterThan(1000);
    expect(readdirSync(join(folder, "out"))).toHaveLength(1);
  });

  test("PostgreSQL: a restore that is killed leaves the database as it was, and the next one removes what it left", async () => {
    const server = await startPostgres();
    onTestFinished(() => server.close());
    server.sql("create database app");
    // What is restored waits for as long as there is a database called hold.
    server.sql(
      `create table t as select i from generate_series(1, 100) i;
       create function wait() returns int language plpgsql as $$ begin
         while exists (select 1 from pg_database where datname = 'hold') loop perform pg_sleep(0.05); end loop;
         return 1; end $$;
       create materialized view held as select wait();`,
      "app",
    );
    const folder = scratch();
    const env = { BACKUPX_DATABASE_PASSWORD: server.password };
    const app = `postgresql://postgres@127.0.0.1:${server.port}/app`;
    const made = await backup([app, "--to", folder], env);
    server.sql("create database hold");
    server.sql("delete from t where i > 10", "app");
    const databases = () => server.sql("select datname from pg_database order by 1").split("\n");
    const before = databases();
    const isWaiting = () =>
      server.sql("select count(*) from pg_stat_activity where query like 'REFRESH%' and datname <> 'app'") ===
      "1";
    const restore = ["restore", made, "--to", app, "--conflict", "overwrite"];
    await runAgentCommand(restore, {
      env,
      started: (child) =>
        void until(isWaiting, "the load", undefined, 60_000).finally(() => child.kill("SIGKILL")),
    });
    const left = databases().filter((name) => !before.includes(name));
    expect(left).toEqual([expect.stringMatching(/^backupx-restore-[0-9a-f]{12}-[0-9a-f]{12}$/)]);
    expect(server.sql("select count(*) from t", "app")).toBe("10");
    server.sql("drop database hold");
    expect(await run(restore, env)).toMatchObject({ code: 0 });
    expect(databases()).toEqual(before.filter((name) => name !== "hold"));
    expect(server.sql("select count(*) from t", "app")).toBe("100");
  });

  test("MariaDB: what a killed restore leaves is called half restored, and the next one that may overwrite removes it", async () => {
    const server = await startMariadb();
    onTestFinished(() => server.close());
    server.sql(
      "create database app; use app; create table t engine=innodb as select seq, repeat(md5(seq), 8) w from seq_1_to_90000",
    );
    const folder = scratch();
    const env = { BACKUPX_DATABASE_PASSWORD: server.password };
    const at = `mariadb://root@127.0.0.1:${server.port}`;
    const made = await backup([`${at}/app`, "--to", folder], env);
    const isLoading = () =>
      server.sql("select count(*) from information_schema.tables where table_schema = 'copy'") !== "0";
    const restore = ["restore", made, "--to", `${at}/copy`, "--conflict"];
    await runAgentCommand([...restore, "fail"], {
      env,
      started: (child) =>
        void until(isLoading, "the load", undefined, 60_000).finally(() => child.kill("SIGKILL")),
    });
    const mark = /^backupx-restore-unfinished-[0-9a-f]{12}$/m;
    expect(server.sql("show tables in copy")).toMatch(mark);
    for (const conflict of ["fail", "keep"]) {
      expect(await run([...restore, conflict], env)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/half restored, .*: "copy"; if none runs, choose to overwrite/),
      });
    }
    const half = await run(["backup", `${at}/copy`, "--to", folder], env);
    expect(half.stdout).toMatch(/"copy": it is half restored/);
    expect(await run([...restore, "overwrite"], env)).toMatchObject({ code: 0 });
    expect(server.sql("show tables in copy")).toBe("t");
    expect(server.sql("select count(*) from copy.t")).toBe("90000");
    const halfArtifact = /\S+\.sql\.zst/.exec(half.stdout)?.[0] ?? "";
    expect(await run(["restore", halfArtifact, "--to", `${at}/again`], env)).toMatchObject({ code: 0 });
    expect(server.sql("show tables in again")).not.toMatch(mark);
  });

  test("MariaDB: from and to addresses", async () => {
    const server = await startMariadb();
    onTestFinished(() => server.close());
    server.sql("create database app; use app; create table t engine=innodb as select seq from seq_1_to_100");
    const folder = scratch();
    const env = { BACKUPX_DATABASE_PASSWORD: server.password };
    const at = `mariadb://root@127.0.0.1:${server.port}`;
    const made = await backup([`${at}/app`, "--to", folder, "--tls-ca", server.caFile], env);
    expect(made).toMatch(/\.sql\.zst$/);
    expect(await run(["restore", made, "--to", `${at}/copy`], env)).toMatchObject({ code: 0 });
    expect(server.sql("select count(*) from copy.t")).toBe("100");
    expect((await run(["restore", made, "--to", `${at}/copy`], env)).stderr).toMatch(
      /would replace databases that exist: "copy"/,
    );
  });
});

test("MongoDB (a stand-in): what a killed restore leaves is called half restored, and the next one that may overwrite removes it", async () => {
  const folder = scratch();
  const stateFile = join(folder, "server.json");
  const fake = resolve(import.meta.dirname, "../fakes/mongo-tools.mjs");
  for (const name of ["mongodump", "mongorestore", "mongosh"]) {
    // By `exec`, so that its parent is the agent.
    const script = `#!/bin/sh\nexec "${process.execPath}" "${fake}" ${name} "$@"\n`;
    writeFileSync(join(folder, name), script, { mode: 0o755 });
  }
  const orders = Array.from({ length: 20 }, (_, i) => ({ _id: i, text: `${i}` }));
  const server = { user: "root", password: "p", databases: { shop: { orders } } };
  const change = (next: object) => writeFileSync(stateFile, JSON.stringify({ ...server, ...next }));
  const copy = () => JSON.parse(readFileSync(stateFile, "utf8")).databases.copy;
  change({});
  const env = {
    PATH: `${folder}:${process.env["PATH"]}`,
    FAKE_MONGO: stateFile,
    BACKUPX_DATABASE_PASSWORD: "p",
  };
  const at = "mongodb://root@127.0.0.1";
  const made = await backup([`${at}/shop`, "--to", folder], env);
  const restore = ["restore", made, "--to", at, "--database", "shop=copy", "--conflict"];
  change({ fault: "kill parent" });
  expect(await run([...restore, "fail"], env)).toMatchObject({ code: null });
  expect(Object.keys(copy()).toSorted()).toEqual([
    expect.stringMatching(/^backupx-restore-unfinished-[0-9a-f]{12}$/),
    "orders",
  ]);
  change({ databases: { ...server.databases, copy: { ...copy(), stray: orders } } });
  for (const conflict of ["fail", "keep"]) {
    expect(await run([...restore, conflict], env)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/half restored, .*: "copy"; if none runs, choose to overwrite/),
    });
  }
  expect(await run([...restore, "overwrite"], env)).toMatchObject({ code: 0 });
  expect(copy()).toEqual({ orders });
});

test("an address that holds a password, or does not fit, is refused", async () => {
  const refused = async (args: string[], words: RegExp) => {
    const { code, stderr } = await run(args);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(words) });
    expect(stderr).not.toContain("geheim");
  };
  await refused(
    ["backup", "mysql://root:geheim@localhost/app", "--to", "/tmp"],
    /everybody could read a password/,
  );
  await refused(["backup", "mysql://root@localhost", "/etc", "--to", "/tmp"], /is backed up alone/);
  await refused(
    ["backup", "mysql://root@localhost", "--tls", "maybe", "--to", "/tmp"],
    /--tls must be one of/,
  );
  await refused(["restore", "x.dump.zst", "--to", "mysql://root@localhost/app"], /is no backup of mysql/);
  await refused(["restore", "x.dump.zst", "--to", "postgres://root@localhost"], /must name the one database/);
});

const run = (args: string[], env: Record<string, string> = {}) => runAgentCommand(args, { env });

/** Makes a backup and gives the place of its artifact. */
async function backup(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(["backup", ...args, "--json"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout).artifact;
}
