import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { limited, tokenBucket } from "../../agent-cli/storage/limited.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { mysqlOf, postgresqlOf, restoreOf } from "./databases.ts";
import { key, target, world } from "./world.ts";

type Kind = {
  name: string;
  needs: string[];
  start(): Promise<DatabaseServer>;
  source(server: DatabaseServer, change?: { databases?: string[]; password?: string }): SourceSpec;
  /** Makes a database `big` of some 24 MB. */
  fill: string;
  databases: string;
  /** How many connections are dumping the table of `big` now. */
  dumping: string;
  /** Ends the connection that a dump of `big` uses. */
  terminate: string;
  /** Connections of ours to the server. */
  connections: string;
  program: string;
  dumper: RegExp;
  loader: RegExp;
  denied: RegExp;
};

const kinds: Kind[] = [
  {
    name: "PostgreSQL",
    needs: ["pg_ctlcluster"],
    start: startPostgres,
    source: (server, change) => postgresqlOf(server, { globals: false, ...change }),
    fill: `create database big;
\\c big
create table t as select i, repeat(md5(i::text), 8) w from generate_series(1, 90000) i;`,
    databases: "select datname from pg_database order by 1;",
    dumping:
      "select count(*) from pg_stat_activity where datname = 'big' and query like 'COPY%' and pid <> pg_backend_pid();",
    terminate:
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'big' and query like 'COPY%';",
    connections:
      "select count(*) from pg_stat_activity where datname is not null and pid <> pg_backend_pid();",
    program: "pg_dump",
    dumper: /pg_dump\0.*--format/s,
    loader: /pg_restore\0.*exit-on-error/s,
    denied: /password authentication failed/,
  },
  {
    name: "MariaDB",
    needs: ["mariadbd", "mariadb-dump"],
    start: startMariadb,
    source: mysqlOf,
    fill: "create database big; use big; create table t engine=innodb as select seq, repeat(md5(seq), 8) w from seq_1_to_90000;",
    databases: "show databases;",
    dumping: "select count(*) from information_schema.processlist where db = 'big' and command = 'Query';",
    terminate: `delimiter //
begin not atomic for c in (select id from information_schema.processlist where db = 'big')
do execute immediate concat('kill ', c.id); end for; end //`,
    connections:
      "select count(*) from information_schema.processlist where command <> 'Daemon' and id <> connection_id();",
    program: "mariadb-dump",
    dumper: /mariadb-dump\0.*--quick/s,
    loader: /mariadb\0.*--database=/s,
    denied: /Access denied/,
  },
];

for (const kind of kinds) {
  describeWith([...kind.needs, "setpriv", "openssl"], `${kind.name}, when something goes wrong`, () => {
    let server: DatabaseServer;
    beforeAll(async () => {
      server = await kind.start();
      server.sql(kind.fill);
    });
    afterAll(() => server?.close());
    const big = () => kind.source(server, { databases: ["big"] });
    const databases = () => server.sql(kind.databases).split("\n");
    const quiet = () => until(() => server.sql(kind.connections) === "0");

    /** A backup of `big` that takes long enough to have something done to it. */
    function slowBackup({ storage, backup, workDir, logs }: ReturnType<typeof world>) {
      const abort = new AbortController();
      const folder = workDir();
      const running = backup({
        source: big(),
        sourceSecrets: { password: server.password },
        pipeline: { compression: "none", level: null },
        targets: [{ ...target(1, storage), storage: limited(storage, tokenBucket(1_000_000)) }],
        workDir: folder,
        signal: abort.signal,
      });
      running.catch(() => {});
      const nothingLeft = async () => {
        expect(storage.objects.size).toBe(0);
        expect(readdirSync(folder)).toEqual([]);
        expect(ours(kind.dumper)).toEqual([]);
        expect(logs.join("\n")).not.toContain(server.password);
        await quiet();
      };
      return { running, abort, nothingLeft };
    }

    test("a dump program that dies half-way fails the backup", async () => {
      const { running, nothingLeft } = slowBackup(world());
      const [pid = 0] = await until(() => ours(kind.dumper));
      await delay(500);
      process.kill(pid, "SIGKILL");
      await expect(running).rejects.toThrow(/database big: .* was ended by SIGKILL/);
      await nothingLeft();
    });

    test("a dump that is cut off fails the backup even when its program calls it done", async () => {
      const { backup, storage, root } = world();
      const path = process.env["PATH"];
      const real = spawnSync("sh", ["-c", `command -v ${kind.program}`], { encoding: "utf8" }).stdout.trim();
      const script = `case "$*" in --version) exec ${real} --version;; esac\n${real} "$@" | head -c 5000000`;
      writeFileSync(join(root, kind.program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      process.env["PATH"] = `${root}:${path}`;
      try {
        const sourceSecrets = { password: server.password };
        await expect(backup({ source: big(), sourceSecrets })).rejects.toThrow(
          /end of file|was cut off before its end/,
        );
        expect(storage.objects.size).toBe(0);
      } finally {
        process.env["PATH"] = path;
      }
    });

    test("a connection that the server ends fails the backup, in the program's words", async () => {
      const { running, nothingLeft } = slowBackup(world());
      await until(() => server.sql(kind.dumping) !== "0");
      server.sql(kind.terminate);
      await expect(running).rejects.toThrow(/database big: .*(terminat|lost connection|gone away|EOF)/i);
      await nothingLeft();
    });

    test("a cancelled backup leaves no program, no connection, no file", async () => {
      const { running, abort, nothingLeft } = slowBackup(world());
      await until(() => ours(kind.dumper));
      await delay(500);
      abort.abort(new Error("cancelled by a person"));
      await expect(running).rejects.toThrow("cancelled by a person");
      await nothingLeft();
    });

    test("a wrong password, a database that is not there, a server that is not there", async () => {
      const { backup, storage, workDir } = world();
      const folder = workDir();
      const run = (source: SourceSpec, password: string) =>
        backup({ source, sourceSecrets: { password }, workDir: folder });
      const wrong = "not the 'password'";
      await expect(run(big(), wrong)).rejects.toThrow(kind.denied);
      await expect(run(big(), wrong)).rejects.not.toThrow(wrong);
      const absent = kind.source(server, { databases: ["absent", "big"] });
      await expect(run(absent, server.password)).rejects.toThrow(`the server has no database "absent"`);
      const nobody = { ...big(), port: 1 } as SourceSpec;
      await expect(run(nobody, server.password)).rejects.toThrow(/refused|can't connect/i);
      expect(storage.objects.size).toBe(0);
      expect(readdirSync(folder)).toEqual([]);
    });

    test("the password is in no command line, no environment, no log and no file afterwards", async () => {
      const { backup, restore, workDir, logs } = world();
      const found: string[] = [];
      const watching = setInterval(() => found.push(...secretsSeen(server.password)), 20);
      const folder = workDir();
      try {
        const source = big();
        await backup({ source, sourceSecrets: { password: server.password }, workDir: folder });
        await restore({
          ...restoreOf(source, server.password, { renameDatabases: { big: "copy" } }),
          workDir: folder,
        });
      } finally {
        clearInterval(watching);
      }
      expect(found).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
      expect(logs.join("\n")).not.toContain(server.password);
      server.sql("drop database copy");
    });

    test("a damaged or cut off dump is refused before anything is made of it", async () => {
      const { backup, restore, storage } = world();
      const source = big();
      const compression = "none";
      await backup({ source, sourceSecrets: { password: server.password }, compression });
      const whole = storage.objects.get(key) as Buffer;
      const before = databases();
      storage.objects.set(key, whole.subarray(0, whole.length - 3_000_000));
      const job = {
        ...restoreOf(source, server.password, { renameDatabases: { big: "copy" } }),
        compression,
      } as const;
      await expect(restore(job)).rejects.toThrow(/cut off|end of file/);
      const sha256 = "0".repeat(64);
      storage.objects.set(key, whole);
      await expect(restore({ ...job, expected: { sha256, sizeBytes: null } })).rejects.toThrow(/SHA-256/);
      expect(databases()).toEqual(before);
    });

    test("a cancelled restore and one whose program dies leave no half database behind", async () => {
      const { backup, restore, workDir } = world();
      const source = big();
      await backup({ source, sourceSecrets: { password: server.password } });
      const before = databases();
      for (const stop of ["cancel", "kill"]) {
        const abort = new AbortController();
        const folder = workDir();
        const job = restoreOf(source, server.password, { renameDatabases: { big: "copy" } });
        const running = restore({ ...job, workDir: folder, signal: abort.signal });
        running.catch(() => {});
        const [pid = 0] = await until(() => ours(kind.loader));
        if (stop === "cancel") abort.abort(new Error("cancelled by a person"));
        else process.kill(pid, "SIGKILL");
        await expect(running).rejects.toThrow(stop === "cancel" ? "cancelled by a person" : "SIGKILL");
        expect(databases()).toEqual(before);
        expect(readdirSync(folder)).toEqual([]);
        await quiet();
      }
    });

    test.runIf(process.getuid?.() === 0)(
      "a work directory that is full is a clear error (tmpfs)",
      async () => {
        const { backup, root, storage } = world();
        const workDir = join(root, "small");
        mkdirSync(workDir);
        spawnSync("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", workDir]);
        try {
          spawnSync("dd", ["if=/dev/zero", `of=${join(workDir, "ballast")}`, "bs=4k", "count=2"]);
          const sourceSecrets = { password: server.password };
          await expect(backup({ source: big(), sourceSecrets, workDir })).rejects.toThrow(/no space left/);
          expect(readdirSync(workDir)).toEqual(["ballast"]);
          expect(storage.objects.size).toBe(0);
        } finally {
          spawnSync("umount", [workDir]);
        }
      },
    );

    test("a server that is stopped in the middle fails the backup", async () => {
      const { running } = slowBackup(world());
      await until(() => ours(kind.dumper));
      await delay(500);
      await server.stop();
      await expect(running).rejects.toThrow(/database big: /);
    });
  });
}

/** Processes that this one has started, by their command lines. */
function ours(pattern: RegExp): number[] {
  return processes().flatMap(({ pid, parent, commandLine }) =>
    parent === process.pid && pattern.test(commandLine) ? [pid] : [],
  );
}

/** Command lines of any process, and environments of ours, that hold the password. */
function secretsSeen(password: string): string[] {
  return processes().flatMap(({ pid, parent, commandLine }) => {
    const texts = [commandLine, parent === process.pid ? readOr(`/proc/${pid}/environ`) : ""];
    return texts.some((text) => text.includes(password)) ? [commandLine] : [];
  });
}

const processes = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      pid: Number(name),
      parent: Number(/\) \S+ (\d+)/.exec(readOr(`/proc/${name}/stat`))?.[1]),
      commandLine: readOr(`/proc/${name}/cmdline`),
    }));

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

async function until<T>(look: () => T): Promise<T> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const found = look();
    if (Array.isArray(found) ? found.length > 0 : found) return found;
    await delay(10);
  }
  throw new Error("it never came to that");
}
