import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { startFakeMaster } from "../fakes/fake-master.ts";
import { testWith } from "../needs.ts";
import { agentEntry, runAgentCommand, scratch, startAgent, until } from "./agent-process.ts";
import { sourceFolder } from "./world.ts";

async function fakeMaster() {
  const master = await startFakeMaster();
  onTestFinished(() => master.close());
  return master;
}

test("enrols once, with files that only their owner can read, and the agent runs with them", async () => {
  const master = await fakeMaster();
  const folder = scratch();
  const config = join(folder, "etc", "agent.yaml");
  const args = ["enroll", "--master", master.url, "--config", config, "--state-dir", join(folder, "state")];
  const wrong = await runAgentCommand(args, { input: "bad-code\n" });
  expect(wrong).toMatchObject({ code: 1, stderr: "backupx-agent: the code is unknown, used or expired\n" });
  const good = await runAgentCommand([...args, "--json"], { env: { BACKUPX_AGENT_CODE: "good-code" } });
  expect(good.code).toBe(0);
  const tokenFile = join(folder, "etc", "token");
  expect(JSON.parse(good.stdout)).toEqual({ nodeId: 7, name: "web-7", configFile: config, tokenFile });
  expect(good.stdout + good.stderr).not.toContain(master.token);
  for (const file of [config, tokenFile]) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(config, "utf8")).not.toContain(master.token);

  const before = master.callsTo("enroll").length;
  const again = await runAgentCommand(args, { input: "good-code" });
  expect(again.code).toBe(1);
  expect(again.stderr).toMatch(/token exists already; --force overwrites it/);
  expect(master.callsTo("enroll").length).toBe(before);
  expect((await runAgentCommand([...args, "--force"], { input: "good-code" })).code).toBe(0);

  const doctor = await runAgentCommand(["doctor", "--config", config]);
  expect(doctor.code).toBe(0);
  expect(doctor.stdout).toMatch(/ok +token +accepted: node 7, "web-7"/);
});

test("doctor names what is wrong and fails", async () => {
  const master = await fakeMaster();
  const folder = scratch();
  writeFileSync(join(folder, "file"), "");
  const env = { BACKUPX_AGENT_TOKEN: "0123456789abcdef" };
  const args = ["doctor", "--master", master.url, "--state-dir", join(folder, "file", "state"), "--json"];
  const { code, stdout } = await runAgentCommand(args, { env });
  expect(code).toBe(1);
  const { ok, checks } = JSON.parse(stdout) as {
    ok: boolean;
    checks: { name: string; state: string; detail: string }[];
  };
  expect(ok).toBe(false);
  const stateOf = (name: string) => checks.find((check) => check.name === name)?.state;
  expect(["master", "token", "clock", "state directory", "disk", "node", "tools"].map(stateOf)).toEqual([
    "ok",
    "failed",
    "ok",
    "failed",
    expect.stringMatching(/ok|warn/),
    "ok",
    "ok",
  ]);
  const unset = await runAgentCommand(["doctor", "--state-dir", folder]);
  expect(unset).toMatchObject({ code: 1, stdout: expect.stringMatching(/failed +master +not set/) });
});

test("doctor names each program of a command or hook that cannot be started, and no argument", async () => {
  const folder = scratch();
  const config = join(folder, "agent.yaml");
  const verify = [join(folder, "check"), "a-planted-secret"];
  const commands = { ldap: { run: ["/bin/sh"], restore: [folder], verify } };
  const hooks = { stop: { run: [join(folder, "gone"), "a-planted-secret"] }, start: { run: ["/bin/sh"] } };
  writeFileSync(config, JSON.stringify({ stateDir: folder, commands, hooks }));
  const { code, stdout } = await runAgentCommand(["doctor", "--config", config]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/failed +hooks\.stop\.run +\S+gone cannot be started: ENOENT/);
  expect(stdout).toMatch(
    /failed +commands\.ldap\.restore +\S+ cannot be started: EACCES; install it, or correct/,
  );
  expect(stdout).toMatch(/failed +commands\.ldap\.verify +\S+check cannot be started: ENOENT/);
  expect(stdout).not.toMatch(/commands\.ldap\.run|hooks\.start|a-planted-secret/);
});

test("status tells what runs, without the master", async () => {
  const master = await fakeMaster();
  const stateDir = join(scratch(), "state");
  const none = await runAgentCommand(["status", "--state-dir", stateDir]);
  expect(none).toMatchObject({ code: 1, stdout: expect.stringMatching(/agent +not running/) });
  const agent = startAgent(master, { stateDir });
  await agent.logged("socket open");
  const { code, stdout } = await runAgentCommand(["status", "--state-dir", stateDir, "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    running: true,
    pid: agent.child.pid,
    node: "web-7",
    connection: "socket",
    commands: [],
    problem: null,
  });
  await agent.kill("SIGKILL");
  expect((await runAgentCommand(["status", "--state-dir", stateDir])).code).toBe(1);
});

test("lists an archive and tells what a restore would do, without a master", async () => {
  const folder = scratch();
  const source = join(folder, "tree");
  mkdirSync(join(source, "deep"), { recursive: true });
  writeFileSync(join(source, "notes.txt"), "note");
  writeFileSync(join(source, "deep", "inner.bin"), "x".repeat(5000));
  const made = await runAgentCommand(["backup", source, "--to", join(folder, "out"), "--name", "a"]);
  expect(made.code).toBe(0);
  const artifact = join(folder, "out", readdirSync(join(folder, "out"))[0] as string);
  const listed = await runAgentCommand(["list", "--from", artifact, "--path", source]);
  expect(listed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/directory .*deep\n.*4 B .*notes\.txt\n$/),
  });
  const found = await runAgentCommand(["list", "--from", artifact, "--name", "INNER", "--json"]);
  expect(JSON.parse(found.stdout)).toEqual([
    expect.objectContaining({ path: join(source, "deep", "inner.bin"), type: "file", size: 5000 }),
  ]);
  const gone = await runAgentCommand(["list", "--from", artifact, "--path", "/nowhere"]);
  expect(gone).toMatchObject({
    code: 1,
    stderr: "backupx-agent: there is no directory /nowhere in this backup\n",
  });
  const back = join(folder, "back");
  const args = ["restore", artifact, "--to", back, "--path", join(source, "deep"), "--dry-run"];
  const told = await runAgentCommand(args);
  expect(told).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^would create 2 entries, 4\.9 KiB:\n(?:.*\n)*.*inner\.bin"\nnothing was written\n$/,
    ),
  });
  expect(existsSync(back)).toBe(false);
});

test("backs up and restores without a master", async () => {
  const folder = scratch();
  const source = sourceFolder(folder, 100);
  const made = await runAgentCommand([
    "backup",
    source,
    "--to",
    join(folder, "out"),
    "--name",
    "mine",
    "--json",
  ]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const { artifact, sha256, entries } = JSON.parse(made.stdout) as Record<string, string>;
  expect(entries).toBe(5);
  expect(
    createHash("sha256")
      .update(readFileSync(artifact as string))
      .digest("hex"),
  ).toBe(sha256);
  const back = join(folder, "back");
  const restored = await runAgentCommand([
    "restore",
    artifact as string,
    "--to",
    back,
    "--sha256",
    sha256 as string,
  ]);
  expect(restored).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^5 entries, 100\.0 KiB restored to/),
  });
  execFileSync("diff", ["-r", source, join(back, source)]);
  const part = [
    "restore",
    artifact as string,
    "--to",
    join(folder, "part"),
    "--path",
    join(source, "file-2"),
    "--json",
  ];
  expect(JSON.parse((await runAgentCommand(part)).stdout)).toMatchObject({ bytes: 25_600 });
  const twice = await runAgentCommand(["restore", artifact as string, "--to", back]);
  expect(twice.code).toBe(1);
  const changed = await runAgentCommand([
    "restore",
    artifact as string,
    "--to",
    join(folder, "x"),
    "--sha256",
    "0".repeat(64),
  ]);
  expect(changed).toMatchObject({ code: 1, stdout: "" });
  expect((await runAgentCommand(["restore", source, "--to", back])).code).toBe(2);
  expect((await runAgentCommand(["backup", join(folder, "nowhere"), "--to", join(folder, "out")])).code).toBe(
    1,
  );
});

test("a restore that is killed leaves one unfinished file, which nobody can read, and the next one takes its place", async () => {
  const folder = scratch();
  const source = join(folder, "source");
  mkdirSync(source);
  writeFileSync(join(source, "large.bin"), randomBytes(200 * 1024 * 1024));
  const made = await runAgentCommand(["backup", source, "--to", join(folder, "out"), "--json"]);
  const { artifact, sha256 } = JSON.parse(made.stdout) as Record<string, string>;
  const back = join(folder, "back");
  const restoredTo = join(back, source);
  const names = () => (existsSync(restoredTo) ? readdirSync(restoredTo) : []);
  const args = ["restore", artifact as string, "--to", back, "--sha256", sha256 as string];
  await runAgentCommand(args, {
    started: async (child) => {
      while (names().length === 0) await delay(1);
      child.kill("SIGKILL");
    },
  });
  expect(names()).toEqual([expect.stringMatching(/^\.backupx-[0-9a-f]{16}$/)]);
  expect(statSync(join(restoredTo, names()[0] as string)).mode & 0o7777).toBe(0o1200);

  expect(await runAgentCommand(args)).toMatchObject({ code: 0 });
  expect(names()).toEqual(["large.bin"]);
  expect(readFileSync(join(restoredTo, "large.bin")).equals(readFileSync(join(source, "large.bin")))).toBe(
    true,
  );
});

test("says so where no directory can be made, as on /proc, for a backup and for a restore", async () => {
  const folder = scratch();
  const source = sourceFolder(folder, 1);
  for (const place of ["/proc/backups", "/proc/deep/er", "/proc"]) {
    const { code, stdout, stderr } = await runAgentCommand(["backup", source, "--to", place]);
    expect({ code, stdout }, place).toEqual({ code: 1, stdout: "" });
    expect(stderr, place).toMatch(/^backupx-agent: .*\/proc.*(no directory can be made there|no such file)/);
  }
  const made = await runAgentCommand(["backup", source, "--to", join(folder, "out"), "--json"]);
  const { artifact } = JSON.parse(made.stdout) as { artifact: string };
  const restored = await runAgentCommand(["restore", artifact, "--to", "/proc/back"]);
  expect(restored).toMatchObject({ code: 1, stdout: "" });
  expect(restored.stderr).toMatch(/no directory can be made there: \/proc\/back/);
});

testWith(["unshare", "mount"], "one file system holds what is mounted at a path that is named", async () => {
  const folder = scratch();
  for (const name of ["named", "other"]) mkdirSync(join(folder, "in", name), { recursive: true });
  // Mounts that no other process sees, and that are gone with this one.
  const script = `
    mount -t tmpfs tmpfs "$1/in/named"; mount -t tmpfs tmpfs "$1/in/other"
    echo here > "$1/in/named/file"; echo elsewhere > "$1/in/other/file"
    exec "$2" "$3" backup "$1/in" "$1/in/named" --one-file-system --to "$1/out" --json`;
  const args = ["-rm", "sh", "-ec", script, "sh", folder, process.execPath, agentEntry];
  const { artifact } = JSON.parse(execFileSync("unshare", args, { encoding: "utf8" }));
  const found = await runAgentCommand(["list", "--from", artifact, "--name", "file", "--json"]);
  expect(JSON.parse(found.stdout)).toMatchObject([{ path: join(folder, "in/named/file"), size: 5 }]);
});

test("a backup without a master that is stopped leaves nothing", async () => {
  const folder = scratch();
  const [source, out, temp] = ["source", "out", "temp"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [source, temp]) mkdirSync(path);
  // At level 19 this takes far longer than it is given, for nothing in it repeats.
  writeFileSync(join(source, "text"), randomBytes(4e7).toString("hex"));
  const stopped = await runAgentCommand(["backup", source, "--to", out, "--level", "19"], {
    env: { TMPDIR: temp },
    started: (child) =>
      void until(() => existsSync(out) && readdirSync(out).length > 0, "the upload").then(() =>
        child.kill("SIGINT"),
      ),
  });
  expect(stopped).toEqual({ code: 130, stdout: "", stderr: "backupx-agent: stopped\n" });
  expect([...readdirSync(out), ...readdirSync(temp)]).toEqual([]);
});

async function milliseconds(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

test("verifies without a master, by grade, and says by its exit code what came of it", async () => {
  const folder = scratch();
  const source = join(folder, "source");
  mkdirSync(source);
  writeFileSync(join(source, "a"), "content of a".repeat(1000));
  const made = await runAgentCommand(["backup", source, "--to", join(folder, "out"), "--json"]);
  const { artifact, sha256 } = JSON.parse(made.stdout) as { artifact: string; sha256: string };
  const verify = (...more: string[]) => runAgentCommand(["verify", "--from", artifact, ...more]);

  const whole = await verify("--grade", "4", "--sha256", sha256);
  expect(whole, whole.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^4 +passed +restored, all 2 entries .*\ngrade 4 of 4 is proved\n$/ms),
  });
  const unknown = await verify();
  expect(unknown).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^2 +not checked .*^3 +passed .*^grade 1 of 3 is proved$/ms),
  });
  const other = await verify("--sha256", "0".repeat(64), "--json");
  expect(other.code).toBe(1);
  expect(JSON.parse(other.stdout)).toMatchObject({ grade: 3, reachedGrade: 1 });

  const bytes = readFileSync(artifact);
  writeFileSync(artifact, bytes.subarray(0, -20));
  const cut = await verify("--sha256", sha256);
  expect(cut).toMatchObject({ code: 1, stdout: expect.stringMatching(/^3 +DAMAGED +/m) });
  expect(await verify("--grade", "5")).toMatchObject({ code: 2 });
  expect(await runAgentCommand(["verify", "--from", join(folder, "none.tar")])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("it is not there any more"),
  });
});

test("the output of a command is verified and brought back into a file without a master", async () => {
  const folder = scratch();
  const output = Buffer.from(Array.from({ length: 5000 }, (_, i) => `entry ${i}\n`).join(""));
  const artifact = join(folder, "ldap-t8-r11.bin.gz");
  writeFileSync(artifact, gzipSync(output));
  const sha256 = createHash("sha256").update(readFileSync(artifact)).digest("hex");
  const verify = (...more: string[]) => runAgentCommand(["verify", "--from", artifact, ...more]);
  expect(await verify("--grade", "2", "--sha256", sha256)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/\ngrade 2 of 2 is proved\n$/),
  });
  expect(await verify("--sha256", sha256)).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^3 +not checked .* verify it by its master\ngrade 2 of 3 is proved\n$/m),
  });
  const restored = await runAgentCommand(["restore", artifact, "--to", folder, "--sha256", sha256]);
  expect(restored, restored.stderr).toMatchObject({ code: 0 });
  expect(readFileSync(join(folder, "ldap-t8-r11.bin")).equals(output)).toBe(true);

  writeFileSync(artifact, readFileSync(artifact).subarray(0, -20));
  const cut = await verify("--sha256", sha256);
  expect(cut).toMatchObject({ code: 1, stdout: expect.stringMatching(/^2 +DAMAGED +/m) });
  const refused = await runAgentCommand(["restore", artifact, "--to", join(folder, "new")]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("the backup is damaged") });
  expect(existsSync(join(folder, "new"))).toBe(false);
});

test("prints its version within the budget, and the exit codes with the help", async () => {
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../agent-cli/package.json"), "utf8"),
  );
  const bare: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < 5; round++) {
    bare.push(await milliseconds(async () => void execFileSync(process.execPath, ["-e", "0"])));
    ours.push(
      await milliseconds(async () => {
        const answer = await runAgentCommand(["--version"]);
        expect(answer).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
      }),
    );
  }
  // 150 ms on a quiet machine; on a busy one, not much more than Node itself takes there.
  expect(Math.min(...ours)).toBeLessThan(Math.max(150, 2 * Math.min(...bare)));
  const { code, stdout } = await runAgentCommand(["--help"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/Exit codes:\n +0 {2}done\n +1 .*\n +2 .*\n\s+3 .*\n\s+130 /);
});

test("the package runs where nothing else is installed", () => {
  const folder = scratch();
  const archive = join(import.meta.dirname, "../../dist/assets/backupx-agent.tgz");
  execFileSync("tar", ["-xzf", archive, "-C", folder]);
  const bin = join(folder, "package", "bin", "backupx-agent.mjs");
  const source = sourceFolder(folder, 4);
  const made = execFileSync(process.execPath, [bin, "backup", source, "--to", join(folder, "out"), "--json"]);
  expect(JSON.parse(`${made}`)).toMatchObject({ entries: 5 });
  const { dependencies } = JSON.parse(readFileSync(join(folder, "package", "package.json"), "utf8"));
  expect(dependencies).toBeUndefined();
});
