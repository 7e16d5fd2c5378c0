import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, onTestFinished } from "vitest";
import { WarningList } from "../../agent-cli/pipeline/warnings.ts";
import { makeSnapshot } from "../../agent-cli/restic/back-up.ts";
import { resticExcludes } from "../../agent-cli/restic/excludes.ts";
import { forgetSnapshot, pruneIfDue, snapshotKey } from "../../agent-cli/restic/forget.ts";
import { listResticSnapshot, listSnapshot } from "../../agent-cli/restic/list.ts";
import { ensureRepository, openRepository, type ResticJob } from "../../agent-cli/restic/repository.ts";
import { restoreSnapshot } from "../../agent-cli/restic/restore.ts";
import { makeScratch, removeLeftScratch } from "../../agent-cli/restic/scratch.ts";
import { verifySnapshot } from "../../agent-cli/restic/verify.ts";
import { compileExcludes } from "../../agent-cli/sources/excludes.ts";
import { inBoth, tokenBucket } from "../../agent-cli/storage/limited.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { startS3OverTls } from "../fakes/s3-over-tls.ts";
import { describeWith } from "../needs.ts";
import { recorded } from "./recorded.ts";
import { startNginx, startProftpd, startRcloneWebdav, startSshd } from "./servers.ts";

type Target = { type: string; config: Record<string, unknown> };
const made: string[] = [];
afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function room(): Promise<{ folder: string; source: string; job: ResticJob; log: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "restic-"));
  made.push(folder);
  const [source, workDir, stateDir] = ["source", "work", "state"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [source, workDir, stateDir, join(source, "deep")]) await mkdir(path);
  await writeFile(join(source, "file"), "content");
  await writeFile(join(source, "deep/[odd] *name"), "more content");
  const log: string[] = [];
  const job: ResticJob = {
    workDir,
    stateDir,
    network: { proxyUrl: null, insecureTls: false, caCertFile: null },
    storages: {},
    report: { progress: () => {}, log: (level, text) => log.push(`${level}: ${text}`) },
    alive: () => {},
    signal: new AbortController().signal,
  };
  return { folder, source, job, log };
}

const key = "BackupX/restic/task-7";
const password = "pass word";

async function snapshot(target: Target, source: string | string[], job: ResticJob, excludes: string[] = []) {
  const opened = await openRepository({ ...target, key, password }, job);
  await ensureRepository(opened, false, job);
  const warnings = new WarningList();
  const made = await makeSnapshot(
    opened,
    {
      source: { type: "file", paths: [source].flat(), excludes, oneFileSystem: false },
      tags: ["backupx"],
      leaveOut: [],
      warnings,
    },
    job,
  );
  return { opened, made, warnings };
}

/** Everything that a task does with its target: our driver and restic must agree where things are. */
async function expectRoundTrip(target: Target, caCertFile: string | null = null): Promise<void> {
  const { folder, source, ...around } = await room();
  const job = { ...around.job, network: { ...around.job.network, caCertFile } };
  const { opened, made } = await snapshot(target, source, job);
  expect(await ensureRepository(opened, true, job)).toBe(false);
  const { signal } = job;
  expect(await opened.storage.stat(snapshotKey(key, made.id), { signal })).not.toBeNull();
  const destination = join(folder, "back");
  await restoreSnapshot(
    opened,
    { snapshotId: made.id, destination, selectedPaths: null, sourcePaths: [source], conflict: "fail" },
    job,
  );
  expect(compareTrees(source, join(destination, source), []).differences).toEqual([]);
  await forgetSnapshot(opened, made.id, job);
  expect(await opened.storage.stat(snapshotKey(key, made.id), { signal })).toBeNull();
}

describeWith(["restic", "openssl"], "restic", () => {
  it("stores to S3, below a prefix", async () => {
    const directory = await mkdtemp(join(tmpdir(), "s3rver-"));
    made.push(directory);
    const { config, caFile, close } = await startS3OverTls(directory);
    onTestFinished(close);
    await expectRoundTrip({ type: "s3", config: { ...config, prefix: "some/where" } }, caFile);
  });
});

describeWith(["restic", "sshd", "ssh-keyscan"], "restic over SFTP", () => {
  it("knows the server by its fingerprint or a file, and no other", async () => {
    const server = await startSshd();
    onTestFinished(() => server.close());
    const { port, username, privateKey, fingerprint, knownHosts, files } = server;
    const config = { host: "127.0.0.1", port, username, privateKey, path: join(files, "some where") };
    await expectRoundTrip({ type: "sftp", config: { ...config, hostKey: fingerprint } });
    await expectRoundTrip({ type: "sftp", config: { ...config, knownHostsFile: knownHosts } });
    const { source, job } = await room();
    const stranger = { type: "sftp", config: { ...config, hostKey: `SHA256:${"A".repeat(43)}` } };
    await expect(snapshot(stranger, source, job)).rejects.toThrow(/is not the hostKey of the target/);
  });
});

describeWith(["restic"], "restic under a bandwidth cap", () => {
  it("is told the lower cap for both directions, rounded down, in every run", async () => {
    const { folder, source, job } = await room();
    const bucket = inBoth(tokenBucket(200_000_000), tokenBucket(100_000_000));
    const target = { type: "local_disk", config: { path: join(folder, "repository") } };
    const calls = recorded("restic");
    const { opened, made: backup } = await snapshot(target, source, { ...job, storages: { bucket } });
    const destination = join(folder, "back");
    const wanted = { snapshotId: backup.id, destination, selectedPaths: null, sourcePaths: [source] };
    await restoreSnapshot(opened, { ...wanted, conflict: "fail" }, job);
    expect(compareTrees(source, join(destination, source), []).differences).toEqual([]);
    const commands = calls().map((call) => call.split(" ")[0]);
    expect(commands).toEqual(expect.arrayContaining(["init", "backup", "restore"]));
    for (const call of calls()) expect(call).toContain("--limit-upload 97656 --limit-download 97656");
  });

  it("is told of none where there is none, and of its least where a cap is below that", async () => {
    const { folder, source, job } = await room();
    const target = { type: "local_disk", config: { path: join(folder, "repository") } };
    const calls = recorded("restic");
    await snapshot(target, source, job);
    expect(calls().join()).not.toContain("--limit");
    const address = { ...target, key, password };
    const { repository } = await openRepository(address, { ...job, storages: { bucket: tokenBucket(1) } });
    expect(repository.options).toEqual(["--limit-upload", "1", "--limit-download", "1"]);
  });
});

describeWith(["restic", "rclone", "nginx", "proftpd"], "restic through rclone", () => {
  it("stores to WebDAV", async () => {
    for (const start of [startNginx, startRcloneWebdav]) {
      const server = await start();
      onTestFinished(() => server.close());
      const url = `http://127.0.0.1:${server.port}/`;
      await expectRoundTrip({ type: "webdav", config: { url, username: "someone", password: "a password" } });
    }
  });

  it("stores to FTP", async () => {
    const server = await startProftpd("explicit", "on");
    onTestFinished(() => server.close());
    const { port, username, password: secret } = server;
    const config = { host: "127.0.0.1", port, tls: "none", username, password: secret, path: "backups" };
    await expectRoundTrip({ type: "ftp", config });
  });

  it("stores to a remote of the node's own", async () => {
    const folder = await mkdtemp(join(tmpdir(), "remote-"));
    made.push(folder);
    const configFile = join(folder, "rclone.conf");
    await writeFile(configFile, `[nas]\ntype = alias\nremote = ${folder}/files\n`);
    await expectRoundTrip({ type: "rclone", config: { remote: "nas:some where/", configFile } });
  });
});

describeWith(["restic"], "a snapshot", () => {
  const local = (folder: string): Target => ({ type: "local_disk", config: { path: join(folder, "disk") } });

  it("leaves out the same as the agent's own patterns do", async () => {
    const { folder, source, job } = await room();
    const names = [
      "a.log",
      "deep/b.log",
      "deep/keep",
      ".hidden",
      "cache/x",
      "deep/cache/y",
      "app/cache/z",
      "b1",
      "c2",
    ];
    for (const name of [...names, "source/in", "deep/[x]"]) {
      await mkdir(join(source, name, ".."), { recursive: true });
      await writeFile(join(source, name), name);
    }
    const lists = [
      ["*.log"],
      ["cache"],
      ["app/cache"],
      ["cache/**"],
      [`${source}/deep/**`],
      [`${source}/*.log`],
      [".*"],
      ["{b,c}[0-9]"],
      ["[!a-d]*"],
      ["source"],
      ["\\[x\\]"],
      ["deep/**/y", "?1"],
    ];
    const walk = async (directory: string): Promise<string[]> => {
      const entries = await readdir(directory, { withFileTypes: true });
      return entries.map((entry) => `${join(directory, entry.name)}${entry.isDirectory() ? "/" : ""}`);
    };
    for (const patterns of lists) {
      const excludes = compileExcludes(patterns);
      const ours = async (directory: string): Promise<string[]> =>
        (
          await Promise.all(
            (
              await walk(directory)
            ).map(async (found) => {
              const path = found.replace(/\/$/, "");
              if (excludes?.(path, found.endsWith("/"))) return [];
              return found.endsWith("/") ? [path, ...(await ours(path))] : [path];
            }),
          )
        ).flat();
      const { opened, made } = await snapshot(local(folder), source, job, patterns);
      const theirs: string[] = [];
      await listSnapshot(opened, made.id, job, ({ path }) => theirs.push(path));
      const below = theirs.filter((path) => path.startsWith(`${source}/`)).sort();
      expect({ patterns, below }).toEqual({ patterns, below: (await ours(source)).sort() });
    }
  }, 120_000);

  it("is not made with a pattern that would leave out what the task names", () => {
    expect(() => resticExcludes(["/srv/*"], ["/srv/app"])).toThrow(/would make restic leave out \/srv\/app/);
    expect(() => resticExcludes(["app"], ["/srv", "/srv/app"])).toThrow(/leave out \/srv\/app/);
    expect(() => resticExcludes(["@(a|b)"], ["/srv"])).toThrow(/knows no groups/);
    expect(resticExcludes(["srv", "/srv/cache"], ["/srv"])).toEqual(["/srv/**/srv", "/srv/cache"]);
  });

  it("that is forgotten leaves its data until the next day, or until none is left", async () => {
    const { folder, source, job } = await room();
    const target = local(folder);
    const ids: string[] = [];
    for (let run = 0; run < 3; run += 1) {
      await writeFile(join(source, "large"), randomBytes(1_000_000));
      ids.push((await snapshot(target, source, job)).made.id);
    }
    const opened = await openRepository({ ...target, key, password }, job);
    const listed = async () => (await readdir(join(folder, "disk", key, "snapshots"))).length;
    const megabytes = async () => {
      let bytes = 0;
      const { signal } = job;
      for await (const { sizeBytes } of opened.storage.list(`${key}/data/`, { signal })) bytes += sizeBytes;
      return Math.round(bytes / 1e6);
    };
    const hour = 3_600_000;
    const noon = 100 * 24 * hour;
    expect(await megabytes()).toBe(3);
    await forgetSnapshot(opened, ids[0] ?? "", job, () => noon);
    expect([await listed(), await megabytes()]).toEqual([2, 2]);
    await forgetSnapshot(opened, ids[1] ?? "", job, () => noon + hour);
    expect([await listed(), await megabytes()]).toEqual([1, 2]);
    await pruneIfDue(opened, job, () => noon + 23 * hour);
    expect(await megabytes()).toBe(2);
    await pruneIfDue(opened, job, () => noon + 24 * hour);
    expect(await megabytes()).toBe(1);
    await forgetSnapshot(opened, ids[2] ?? "", job, () => noon + 25 * hour);
    expect([await listed(), await megabytes()]).toEqual([0, 0]);
  }, 240_000);

  /** A snapshot that is to be forgotten, while another command holds its repository until its input ends. */
  async function lockedRepository() {
    const { folder, source, job, log } = await room();
    const { opened, made } = await snapshot(local(folder), source, job);
    const { location, environment } = opened.repository;
    const env = { ...process.env, ...environment, RESTIC_REPOSITORY: location };
    const holder = spawn("restic", ["backup", "--stdin"], { env, stdio: ["pipe", "ignore", "ignore"] });
    onTestFinished(() => void holder.kill("SIGKILL"));
    // A lock that is still being written has another name, and is none yet: killed then, its owner would leave nothing to remove.
    const locks = async () =>
      (await readdir(join(folder, "disk", key, "locks"))).filter((name) => /^[0-9a-f]{64}$/.test(name));
    await expect.poll(locks, { timeout: 60_000 }).toHaveLength(1);
    const isThere = () => existsSync(join(folder, "disk", snapshotKey(key, made.id)));
    return { holder, locks, log, isThere, forget: () => forgetSnapshot(opened, made.id, job) };
  }

  it("is forgotten when a lock that is in use is gone, and not before", async () => {
    const { holder, locks, log, isThere, forget } = await lockedRepository();
    const forgotten = forget();
    const waiting = new RegExp(`^warn: .* is locked by PID ${holder.pid} on .*; waiting for it$`);
    const isWaiting = () => log.some((line) => waiting.test(line));
    await expect.poll(isWaiting, { timeout: 60_000 }).toBe(true);
    expect([await locks(), isThere()]).toEqual([[expect.any(String)], true]);
    holder.stdin?.end();
    await forgotten;
    expect(isThere()).toBe(false);
    expect(log.join("\n")).not.toContain("removed a lock");
  }, 240_000);

  it("is forgotten in spite of a lock whose process is gone, which is told", async () => {
    const { holder, locks, log, isThere, forget } = await lockedRepository();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await forget();
    expect(log).toContain("info: removed a lock that a dead process had left");
    expect([await locks(), isThere()]).toEqual([[], false]);
  }, 240_000);

  it("lists one directory at a time, or what has a name", async () => {
    const { folder, source, job } = await room();
    const { opened, made } = await snapshot(local(folder), source, job);
    const page = { path: source, name: null, after: null, limit: 1 };
    const first = await listResticSnapshot(opened, made.id, page, job);
    expect(first).toMatchObject({ entries: [{ name: "deep", type: "directory" }], next: "deep" });
    const second = await listResticSnapshot(opened, made.id, { ...page, after: "deep" }, job);
    expect(second).toMatchObject({ entries: [{ name: "file", type: "file", size: 7 }], next: null });
    const top = await listResticSnapshot(opened, made.id, { ...page, path: "/" }, job);
    expect(top).toMatchObject({ entries: [{ type: "directory" }] });
    const search = await listResticSnapshot(opened, made.id, { ...page, path: "/", name: "ODD" }, job);
    expect(search.entries.map(({ path }) => path)).toEqual([join(source, "deep/[odd] *name")]);
    const absent = { ...page, path: join(source, "absent") };
    await expect(listResticSnapshot(opened, made.id, absent, job)).rejects.toThrow(/there is no directory/);
  });

  it("is verified by grades, none of which a damaged one reaches", async () => {
    const { folder, source, job } = await room();
    const { opened, made } = await snapshot(local(folder), source, job);
    const whole = await verifySnapshot(opened, { snapshotId: made.id, grade: 4, sourceBytes: 0 }, job);
    expect(whole.checks.map(({ grade, outcome }) => [grade, outcome])).toEqual(
      [1, 2, 3, 4].map((g) => [g, "passed"]),
    );
    expect(whole).toMatchObject({ differenceCount: 0 });
    expect(whole.entries).toBeGreaterThan(3);

    const data = join(folder, "disk", key, "data");
    const packs = (await readdir(data, { recursive: true })).filter((name) => name.length > 64);
    const pack = join(data, packs[0] ?? "");
    const bytes = await readFile(pack);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    await chmod(pack, 0o600);
    await writeFile(pack, bytes);
    await rm(join(job.stateDir, "restic/cache"), { recursive: true });
    const flipped = await verifySnapshot(opened, { snapshotId: made.id, grade: 4, sourceBytes: 0 }, job);
    expect(flipped.checks.map(({ grade, outcome }) => [grade, outcome])).toEqual([
      [1, "passed"],
      [2, "damaged"],
      [3, "damaged"],
    ]);

    await rm(join(folder, "disk", snapshotKey(key, made.id)));
    const gone = await verifySnapshot(opened, { snapshotId: made.id, grade: 1, sourceBytes: 0 }, job);
    expect(gone.checks).toMatchObject([{ grade: 1, outcome: "damaged" }]);
  }, 120_000);

  const canReachTwoDisks = process.getuid?.() === 0 && existsSync("/dev/shm");
  it.skipIf(!canReachTwoDisks)("comes back in place to several file systems", async () => {
    const { folder, source, job } = await room();
    const other = await mkdtemp("/dev/shm/restic-");
    made.push(other);
    await mkdir(join(other, "dïr"));
    await writeFile(join(other, "dïr/fïle"), "on another disk", { mode: 0o640 });
    const paths = [source, other];
    const { opened, made: snapshotMade } = await snapshot(local(folder), paths, job);
    const before = join(folder, "before");
    execFileSync("cp", ["-a", other, before]);
    await rm(join(other, "dïr"), { recursive: true });
    await writeFile(join(source, "file"), "changed");
    const wanted = {
      snapshotId: snapshotMade.id,
      destination: null,
      selectedPaths: null,
      sourcePaths: paths,
    };
    const result = await restoreSnapshot(opened, { ...wanted, conflict: "overwrite" }, job);
    expect(result.warningCount).toBe(0);
    expect(compareTrees(before, other, []).differences).toEqual([]);
    expect(await readFile(join(source, "file"), "utf8")).toBe("content");
    expect((await readdir("/")).filter((name) => name.startsWith(".backupx"))).toEqual([]);
  });

  it("that was being restored when the agent died leaves nothing once the agent is back", async () => {
    const { folder, source, job } = await room();
    const scratch = makeScratch(folder, job.stateDir);
    await mkdir(join(scratch.path, "read only"), { mode: 0o500 });
    const forged = join(job.stateDir, "restic/restores/.backupx-restore-forged");
    await writeFile(forged, source);
    await removeLeftScratch(job.stateDir);
    expect(existsSync(scratch.path)).toBe(false);
    expect(existsSync(source)).toBe(true);
    expect(await readdir(join(job.stateDir, "restic/restores"))).toEqual([]);
  });
});
