import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { neverRestored, startPostgres, temporaryServersBelow } from "../fakes/database-servers.ts";
import { testWith } from "../needs.ts";
import { childrenOf, signalAll } from "../processes.ts";
import { agentEntry, runAgentCommand, scratch, until } from "./agent-process.ts";

/** A temp directory of its own, and backups that use it. */
function aMachine() {
  const folder = scratch();
  const [temp, source, small] = ["temp", "source", "small"].map((name) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  }) as [string, string, string];
  writeFileSync(join(small, "a"), "a");
  let made = 0;
  const runFolders = () => readdirSync(temp).filter((name) => name.startsWith("backupx-run-"));
  const env = { TMPDIR: temp };
  const backup = (path: string, started?: (child: ChildProcess) => void) => {
    made += 1;
    const args = ["backup", path, "--to", join(folder, `out-${made}`), "--level", "19"];
    return runAgentCommand(args, { env, ...(started && { started }) });
  };
  // At level 19 this takes seconds, for nothing in it repeats.
  const makeLarge = () => writeFileSync(join(source, "text"), randomBytes(1e7).toString("hex"));
  /** A backup that stands still in the middle of its work, with its job. */
  const halfBackup = async () => {
    makeLarge();
    const before = runFolders();
    const { promise: starting, resolve } = Promise.withResolvers<ChildProcess>();
    const ended = backup(source, resolve);
    const child = await starting;
    const out = join(folder, `out-${made}`);
    await until(() => existsSync(out) && readdirSync(out).length > 0, "the upload");
    const processes = [child.pid as number, ...childrenOf(child.pid)];
    signalAll(processes, "SIGSTOP");
    onTestFinished(() => {
      if (child.exitCode === null && child.signalCode === null) signalAll(processes, "SIGKILL");
    });
    const own = runFolders().find((name) => !before.includes(name)) ?? "";
    return { processes, ended, own: join(temp, own) };
  };
  /** What is left of a backup that was killed. */
  const killedBackup = async () => {
    const { processes, ended, own } = await halfBackup();
    signalAll(processes, "SIGKILL");
    await ended;
    expect(lstatSync(own).isDirectory()).toBe(true);
    return own;
  };
  return {
    folder,
    temp,
    source,
    small,
    makeLarge,
    backupSmall: () => backup(small),
    halfBackup,
    killedBackup,
    env,
  };
}

test("what a killed backup has left is removed by the next ones, also by two at once; that of a living one is not", async () => {
  const { temp, backupSmall, killedBackup, halfBackup } = aMachine();
  const living = await halfBackup();
  const left = await killedBackup();
  for (let i = 0; i < 1000; i += 1) {
    mkdirSync(join(left, `${i}`));
    writeFileSync(join(left, `${i}`, "file"), "");
  }
  const closed = join(left, "closed");
  mkdirSync(closed);
  writeFileSync(join(closed, "file"), "");
  chmodSync(closed, 0o500);
  expect(readdirSync(temp).sort()).toEqual([basename(left), basename(living.own)].sort());
  const both = await Promise.all([backupSmall(), backupSmall()]);
  for (const one of both) expect(one).toMatchObject({ code: 0, stderr: "" });
  expect(readdirSync(temp)).toEqual([basename(living.own)]);
  signalAll(living.processes.slice(0, 1), "SIGINT");
  signalAll(living.processes, "SIGCONT");
  expect((await living.ended).code).toBe(130);
  expect(readdirSync(temp)).toEqual([]);
});

test("nothing is removed that no run of this user and machine has made, and a pid that was given out again saves nothing", async () => {
  const { temp, backupSmall, killedBackup } = aMachine();
  const name = basename(await killedBackup());
  const [, where = "", pid = "", mark = ""] = /^backupx-run-(\w{12})-(\d+)-(\w{12})-\w{6}$/.exec(name) ?? [];
  const make = (name: string) => {
    mkdirSync(join(temp, name), { mode: 0o700 });
    writeFileSync(join(temp, name, "file"), "content");
    return name;
  };
  const named = (changes: { where?: string; pid?: string | number; mark?: string }, end: string) => {
    const parts = { where, pid, mark, ...changes };
    return `backupx-run-${parts.where}-${parts.pid}-${parts.mark}-${end}`;
  };
  const elsewhere = make("elsewhere");
  const kept = [
    elsewhere,
    make("backupx-run-notes"),
    make("backupx-agent-0123456789ab"),
    make(`${named({}, "abcdef")}.old`),
    make(named({ where: "0".repeat(12) }, "other1")),
    // Where there is no /proc, a living pid may be that of the run.
    make(named({ pid: process.pid, mark: "0" }, "living")),
    named({}, "linked"),
    named({}, "afile1"),
    make(named({}, "opened")),
  ];
  symlinkSync(elsewhere, join(temp, named({}, "linked")));
  writeFileSync(join(temp, named({}, "afile1")), "content");
  chmodSync(join(temp, named({}, "opened")), 0o755);
  if (process.getuid?.() === 0) {
    kept.push(make(named({}, "theirs")));
    chownSync(join(temp, named({}, "theirs")), 65_534, 65_534);
  }
  make(named({ pid: process.pid }, "reused"));
  make(named({ mark: "0" }, "noproc"));
  expect(await backupSmall()).toMatchObject({ code: 0, stderr: "" });
  expect(readdirSync(temp).sort()).toEqual(kept.sort());
  for (const folder of kept.filter((name) => lstatSync(join(temp, name)).isDirectory()))
    expect(readFileSync(join(temp, folder, "file"), "utf8")).toBe("content");
});

test("a killed backup has ended also where its parent never asks how", async () => {
  const { folder, temp, source, makeLarge, backupSmall, env } = aMachine();
  makeLarge();
  const out = join(folder, "out");
  const backup = [process.execPath, agentEntry, "backup", source, "--to", out, "--level", "19"];
  const parent = spawn("sh", ["-c", '"$@" & exec sleep 600', "sh", ...backup], {
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  onTestFinished(() => void parent.kill("SIGKILL"));
  await until(() => existsSync(out) && readdirSync(out).length > 0, "the upload");
  const [run] = childrenOf(parent.pid) as [number];
  signalAll([run, ...childrenOf(run)], "SIGKILL");
  await until(() => readFileSync(`/proc/${run}/stat`, "utf8").includes(") Z "), "its end");
  expect(await backupSmall()).toMatchObject({ code: 0, stderr: "" });
  expect(readdirSync(temp)).toEqual([]);
});

test.runIf(process.getuid?.() === 0)(
  "what cannot be removed is told with its path, and is no obstacle to a backup",
  async () => {
    const { temp, killedBackup, folder, small } = aMachine();
    const left = await killedBackup();
    // A folder in it that only root may change; the next backup is nobody's.
    mkdirSync(join(left, "foreign"));
    writeFileSync(join(left, "foreign", "file"), "content");
    const nobody = 65_534;
    for (const path of [folder, temp, left]) chownSync(path, nobody, nobody);
    const args = ["backup", small, "--to", join(folder, "out")];
    const made = await runAgentCommand(args, { env: { TMPDIR: temp }, uid: nobody });
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toMatch(
      new RegExp(`^warn: ${left}, .*cannot be removed \\(E[A-Z]+\\): remove it by hand\n$`),
    );
    expect(readdirSync(temp)).toEqual([basename(left)]);
  },
);

testWith(
  ["pg_ctlcluster", "setpriv", "openssl"],
  "a temporary server of a verification that was killed is ended by the next run, and gone with its files",
  async () => {
    const { temp, backupSmall, env } = aMachine();
    const server = await startPostgres();
    onTestFinished(() => server.close());
    server.sql("create database app");
    server.sql(neverRestored, "app");
    const address = `postgresql://postgres@127.0.0.1:${server.port}/app`;
    const made = await runAgentCommand(["backup", address, "--to", join(temp, "out"), "--json"], {
      env: { ...env, BACKUPX_DATABASE_PASSWORD: server.password },
    });
    const { artifact, sha256 } = JSON.parse(made.stdout) as { artifact: string; sha256: string };
    const servers = () => temporaryServersBelow(temp);
    await runAgentCommand(["verify", artifact, "--grade", "4", "--sha256", sha256], {
      env,
      started: (child) =>
        void until(() => servers().some(({ serves }) => serves), "the server", undefined, 60_000).finally(
          () => child.kill("SIGKILL"),
        ),
    });
    expect(servers()).not.toEqual([]);
    expect(readdirSync(temp)).toHaveLength(2);
    expect(await backupSmall()).toMatchObject({ code: 0, stderr: "" });
    expect(servers()).toEqual([]);
    expect(readdirSync(temp)).toEqual(["out"]);
  },
);
