import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeArchiveIndex } from "../../agent-cli/pipeline/archive-index.ts";
import { runBackup } from "../../agent-cli/pipeline/backup.ts";
import type { BackupJob, SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import { WarningList } from "../../agent-cli/pipeline/warnings.ts";
import { makeSnapshot } from "../../agent-cli/restic/back-up.ts";
import { ensureRepository, openRepository, type ResticJob } from "../../agent-cli/restic/repository.ts";
import { openStorage } from "../../agent-cli/storage/open-storage.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { mysqlOf, postgresqlOf } from "../engine/databases.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { startS3OverTls } from "../fakes/s3-over-tls.ts";
import { describeWith } from "../needs.ts";
import { agentEntry } from "./agent-process.ts";

/*
 * The commands by which the README restores backups without a master, each as it stands there: only its places are
 * others. A command that is not known here is a failure, so none can be added that nobody has tried.
 */

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
const section = /^### Restore without us$(.*?)^## /ms.exec(readme)?.[1] ?? "";
const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = ""]) => text);

/** Lines that a reader types one after the other; all others are each for itself. */
const belongsTogether = (block: string) => /^(cd|export) /.test(block);
/** They need a Cloudflare account, or what `npm start` keeps. */
const isOfTheVault = (command: string) => command.includes("wrangler r2");
/** MongoDB's programs cannot be had; engine/mongodb.test.ts has their stand-ins. */
const isMongos = (command: string) => command.includes("mongorestore");

const commands = blocks
  .flatMap((block) => (belongsTogether(block) ? [block] : block.split("\n")))
  .map((command) => command.replace(/\s+#.*$/gm, "").trim())
  .filter((command) => command !== "" && !isOfTheVault(command) && !isMongos(command));

const programs = ["zstd", "age", "sqlite3", "restic", "pg_ctlcluster", "mariadbd", "setpriv", "openssl"];

describeWith(programs, "the README's commands", () => {
  const folder = mkdtempSync(join(tmpdir(), "readme-"));
  const at = (...names: string[]) => join(folder, ...names);
  const restored = at("restored");
  const source = at("etc");
  let postgres: DatabaseServer;
  let mariadb: DatabaseServer;
  let s3: Awaited<ReturnType<typeof startS3OverTls>>;
  let recipient: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    const identity = await generateX25519Identity();
    recipient = await identityToRecipient(identity);
    writeFileSync(at("identity.txt"), `${identity}\n`, { mode: 0o600 });
    for (const name of ["bin", "here", "mnt/backup", "s3", "state"]) mkdirSync(at(name), { recursive: true });
    writeFileSync(at("bin/backupx-agent"), `#!/bin/sh\nexec "${process.execPath}" "${agentEntry}" "$@"\n`);
    chmodSync(at("bin/backupx-agent"), 0o755);
    writeFileSync(at("restic-password"), "a restic password");
    postgres = await startPostgres();
    mariadb = await startMariadb();
    s3 = await startS3OverTls(at("s3"));
    env = {
      PATH: `${at("bin")}:${process.env.PATH}`,
      HOME: folder,
      PGHOST: postgres.socket,
      PGPORT: String(postgres.port),
      PGUSER: "postgres",
      PGPASSWORD: postgres.password,
      AWS_ACCESS_KEY_ID: s3.config.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.config.secretAccessKey,
      AWS_ENDPOINT_URL: s3.endpoint,
      NODE_EXTRA_CA_CERTS: s3.caFile,
      SSL_CERT_FILE: s3.caFile,
    };
    const quoted = `"${mariadb.password.replace(/[\\"]/g, "\\$&")}"`;
    writeFileSync(at(".my.cnf"), `[client]\nuser=root\nsocket=${mariadb.socket}\npassword=${quoted}\n`);
    writeFileSync(at("here/pw.txt"), postgres.password);
    await makeArtifacts();
  });
  afterAll(async () => {
    await postgres?.close();
    await mariadb?.close();
    await s3?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const signal = new AbortController().signal;
  const report = { progress: () => {}, log: () => {} };
  let works = 0;
  const workDir = () => {
    const path = at(`work-${++works}`);
    mkdirSync(path, { mode: 0o700 });
    return path;
  };

  /** A backup under a name of the README's, beside where its commands run. */
  async function make(name: string, from: SourceSpec, change: Partial<BackupJob> = {}) {
    const storage = await openStorage("local_disk", { path: at("here") });
    let index: Buffer | null = null;
    const result = await runBackup({
      source: from,
      pipeline: {
        compression: "zstd",
        level: null,
        encryption: name.endsWith(".age") ? { recipients: [recipient] } : null,
      },
      targets: [{ id: 1, name: "here", storage, key: name, quotaRemainingBytes: null }],
      onIndex: (bytes) => {
        index = Buffer.from(bytes);
      },
      workDir: workDir(),
      report,
      signal,
      ...change,
    });
    return { sha256: result.sha256, index: index as Buffer | null };
  }

  async function makeArtifacts() {
    const files: SourceSpec = { type: "file", paths: [source], excludes: [], oneFileSystem: false };
    mkdirSync(join(source, "nginx/sites"), { recursive: true });
    writeFileSync(join(source, "nginx/nginx.conf"), "events {}\n");
    writeFileSync(join(source, "nginx/sites/a\nsite ß"), randomBytes(100_000));
    writeFileSync(join(source, "hosts"), "127.0.0.1 localhost\n", { mode: 0o640 });
    writeFileSync(join(source, "gone"), "removed before the second backup");
    symlinkSync("nowhere", join(source, "dangling"));
    await sleep(50);
    const full = await make("etc-t2-r2.tar.zst", files);
    await make("etc-t2-r2.tar.zst.age", files);
    await snapshots(files);

    const database = new DatabaseSync(at("app.db"));
    database.exec("create table t (x); insert into t values (1), (2)");
    database.close();
    await make("app-t3-r9.sqlite.zst", { type: "sqlite", paths: [at("app.db")] });

    postgres.sql("create database shop");
    postgres.sql("create table t as select i from generate_series(1, 1000) i", "shop");
    const ofPostgres = { sourceSecrets: { password: postgres.password } };
    const alone = postgresqlOf(postgres, { databases: ["shop"], globals: false });
    await make("shop-t5-r7.dump.zst", alone, ofPostgres);
    await make("all-t5-r8.tar.zst", postgresqlOf(postgres), ofPostgres);
    mariadb.sql(
      "create database shop; use shop; create table t engine=innodb as select seq from seq_1_to_1000",
    );
    await make("shop-t6-r9.sql.zst", mysqlOf(mariadb, { databases: ["shop"] }), {
      sourceSecrets: { password: mariadb.password },
    });

    // What the differential backup has to tell, after everything else has the tree as it was.
    execFileSync("cp", ["-a", source, at("before")]);
    rmSync(join(source, "gone"));
    writeFileSync(join(source, "hosts"), "changed\n");
    writeFileSync(join(source, "new"), "new\n");
    if (!full.index) throw new Error("the full backup has no index");
    const base = { recordId: 2, sha256: full.sha256, index: decodeArchiveIndex(full.index) };
    await make("etc-t2-r9.tar.zst", files, { base });
    const inS3 = await openStorage("s3", s3.config);
    for (const name of ["etc-t2-r2.tar.zst", "etc-t2-r2.tar.zst.age", "etc-t2-r9.tar.zst"])
      await inS3.put(`BackupX/${name}`, Readable.from([readFileSync(at("here", name))]), { signal });
    writeFileSync(at("here/storage.yaml"), JSON.stringify({ type: "s3", ...s3.config }), { mode: 0o600 });
  }

  /** A task's repository on a disk and in a bucket, made as a run makes it. */
  async function snapshots(files: SourceSpec) {
    if (files.type !== "file") throw new Error("restic reads files");
    for (const [type, config] of [
      ["local_disk", { path: at("mnt/backup") }],
      ["s3", s3.config],
    ] as const) {
      const job: ResticJob = {
        workDir: workDir(),
        stateDir: at("state"),
        network: s3.network,
        storages: {},
        report,
        alive: () => {},
        signal,
      };
      const address = { type, config, key: "BackupX/restic/task-7", password: "a restic password" };
      const opened = await openRepository(address, job);
      await ensureRepository(opened, false, job);
      const warnings = new WarningList();
      const what = {
        source: files,
        tags: ["backupx"],
        leaveOut: [],
        warnings,
      };
      await makeSnapshot(opened, what, job);
    }
  }

  /** The command with this test's places instead of a reader's. */
  const here = (command: string) =>
    command
      .replaceAll("/tmp/restored", restored)
      .replaceAll("/mnt/", `${at("mnt")}/`)
      .replaceAll("/root/restic-password", at("restic-password"))
      .replaceAll("s3:https://s3.example.com/", `s3:${s3.endpoint}/`)
      .replaceAll("BackupX/file/…/", "BackupX/")
      .replaceAll("s3://backups/BackupX/…", "s3://backups/BackupX/etc-t2-r2.tar.zst")
      .replaceAll("identity.txt", at("identity.txt"))
      .replaceAll("age1…", recipient)
      .replaceAll("postgres@127.0.0.1/", `postgres@127.0.0.1:${postgres.port}/`)
      .replace(/ \/etc\b/g, ` ${source}`)
      // In the folder that it has just gone to, what lies beside the reader is somewhere else.
      .replace(/^cd .*/s, (block) => block.replaceAll("-dc ", `-dc ${at("here")}/`));

  const expectTree = (original: string, path = source) => {
    expect(compareTrees(original, join(restored, path), []).differences).toEqual([]);
    expect(readdirSync(join(restored, path)).sort()).toEqual(readdirSync(original).sort());
  };
  const expectFull = () => expectTree(at("before"));
  const expectNginx = () => {
    expectTree(join(source, "nginx"), join(source, "nginx"));
    expect(readdirSync(join(restored, source))).toEqual(["nginx"]);
  };
  const rowsOf = (server: DatabaseServer) =>
    expect(server.sql("select count(*) from t", "shop_old")).toBe("1000");
  const withDatabase = () => {
    postgres.sql("drop database if exists shop_old");
    postgres.sql("create database shop_old");
  };

  type Expected = { matches: RegExp; before?: () => void; after: (said: string) => void };
  const expectations: Expected[] = [
    { matches: /^mkdir -p/, after: () => expect(existsSync(restored)).toBe(true) },
    {
      matches: /^(zstd|age) .*tar -x --numeric-owner -C/,
      before: () => mkdirSync(restored),
      after: expectFull,
    },
    { matches: /sqlite3/, after: (said) => expect(said).toMatch(/^ok$/m) },
    { matches: /pg_restore/, before: withDatabase, after: () => rowsOf(postgres) },
    {
      matches: /\| mariadb/,
      before: () => mariadb.sql("create database shop_old"),
      after: () => rowsOf(mariadb),
    },
    {
      matches: /^cd .*\.backupx-deleted/s,
      before: () => mkdirSync(restored),
      after: () => expectTree(source),
    },
    { matches: /^export RESTIC_PASSWORD_FILE/, after: expectFull },
    {
      matches: /^backupx-agent list --storage storage.yaml$/,
      after: (said) => {
        expect(said).toMatch(/ etc \(2\) +9 +BackupX\/etc-t2-r9\.tar\.zst\n/);
        expect(said).toMatch(/^BackupX\/restic\/task-7: a repository of restic's with 1 snapshot, /m);
      },
    },
    {
      matches: /^backupx-agent list .*--path/,
      after: (said) => expect(said).toMatch(/directory .*nginx\n/),
    },
    {
      matches: /^backupx-agent verify/,
      after: (said) => expect(said).toMatch(/^3 +passed .* more are in its full backup$/m),
    },
    {
      matches: /^backupx-agent restore --storage .*--dry-run$/,
      after: (said) => {
        expect(said).toMatch(/^would create 8 entries.*\n(?:.*\n)*nothing was written\n$/);
        expect(existsSync(restored)).toBe(false);
      },
    },
    {
      matches: /--path .*--dry-run$/,
      after: (said) => {
        expect(said).toMatch(/^would create 4 entries.*\n(?:.*\n)*nothing was written\n$/);
        expect(existsSync(restored)).toBe(false);
      },
    },
    { matches: /^backupx-agent restore .*--path \/etc\/nginx$/, after: expectNginx },
    {
      matches: /^backupx-agent restore (--storage \S+ \S+\/)?etc-t2-r9\.tar\.zst (--base \S+ )?--to \S+$/,
      after: () => expectTree(source),
    },
    { matches: /^backupx-agent restore (s3:|.*--identity)/, after: expectFull },
    {
      matches: /^backupx-agent restore .*postgresql:/,
      before: () => postgres.sql("drop database if exists shop_old"),
      after: () => rowsOf(postgres),
    },
    {
      matches: /^backupx-agent backup \/etc --storage/,
      after: (said) => expect(said).toMatch(/^by-hand\/.+-\d{8}T\d{6}Z\.tar\.zst\.age\n/),
    },
    {
      matches: /^backupx-agent backup \/etc --to/,
      after: () => expect(readdirSync(at("mnt/usb"))).toEqual([expect.stringMatching(/\.tar\.zst\.age$/)]),
    },
  ];

  it("are all of those that are expected", () => {
    const known = (command: string) => expectations.filter(({ matches }) => matches.test(command)).length;
    expect(commands.filter((command) => known(command) !== 1)).toEqual([]);
    expect(expectations.filter(({ matches }) => !commands.some((command) => matches.test(command)))).toEqual(
      [],
    );
  });

  it.each(commands)("%s", async (command) => {
    const expected = expectations.find(({ matches }) => matches.test(command));
    rmSync(restored, { recursive: true, force: true });
    expected?.before?.();
    const options = { cwd: at("here"), env };
    const { stdout } = await promisify(execFile)("bash", ["-eo", "pipefail", "-c", here(command)], options);
    expected?.after(stdout);
  });
});
