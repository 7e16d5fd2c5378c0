import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeArchiveIndex } from "../../agent-cli/pipeline/archive-index.ts";
import { runBackup } from "../../agent-cli/pipeline/backup.ts";
import type { Base } from "../../agent-cli/pipeline/pipeline.ts";
import { openStorage } from "../../agent-cli/storage/open-storage.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { fileNameStem, objectPrefix } from "../../worker/records/object-key.ts";
import { startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { bucket, credentials, region, startStrictS3 } from "../fakes/strict-s3.ts";
import { describeWith } from "../needs.ts";
import { agentEntry, runAgentCommand, scratch } from "./agent-process.ts";
import { type Served, servedStorages, storageFile } from "./served-storages.ts";

/*
 * The day on which the master is gone: a storage, a file with its settings and an age identity are all there is. Backups of
 * a master's tasks lie there under the keys that the master's own code gives them.
 */

const folder = mkdtempSync(join(tmpdir(), "without-master-"));
const at = (...names: string[]) => join(folder, ...names);
const [source, before] = [at("source"), at("before")];
const identityFile = at("identity.txt");
let recipient = "";

/** Artifacts of a task: a full one and a differential one on it, both also encrypted, by their keys. */
const day = (date: number) => Date.UTC(2026, 10, date, 12);
const keyOf = (recordId: number, date: number, end: string, name = "Etc") =>
  `${objectPrefix("file", day(date), recordId)}${fileNameStem(name, 2, recordId)}${end}`;
const keys = {
  full: keyOf(2, 23, ".tar.zst"),
  differential: keyOf(9, 30, ".tar.zst"),
  lockedFull: keyOf(3, 23, ".tar.zst.age"),
  // The task was given another name in the meantime.
  lockedDifferential: keyOf(10, 30, ".tar.zst.age", "Etc of web-1"),
};

beforeAll(async () => {
  const identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  writeFileSync(identityFile, `${identity}\n`, { mode: 0o600 });
  mkdirSync(join(source, "nginx/sites"), { recursive: true });
  writeFileSync(join(source, "nginx/nginx.conf"), "events {}\n");
  writeFileSync(join(source, "nginx/sites/a site ß"), Buffer.alloc(3_000_000, Math.random().toString()));
  writeFileSync(join(source, "hosts"), "127.0.0.1 localhost\n", { mode: 0o640 });
  writeFileSync(join(source, "gone"), "removed before the second backup");
  symlinkSync("nowhere", join(source, "dangling"));
  await sleep(2100);
  const full = await make(keys.full);
  const lockedFull = await make(keys.lockedFull);
  execFileSync("cp", ["-a", source, before]);
  rmSync(join(source, "gone"));
  writeFileSync(join(source, "hosts"), "changed\n");
  writeFileSync(join(source, "new"), "new\n");
  await make(keys.differential, { recordId: 2, ...full });
  await make(keys.lockedDifferential, { recordId: 3, ...lockedFull });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One backup under its key in a folder, and what a differential one is made from. */
async function make(key: string, base: Base | null = null): Promise<Omit<Base, "recordId">> {
  const workDir = mkdtempSync(at("work-"));
  let index: Buffer | null = null;
  const { sha256 } = await runBackup({
    source: { type: "file", paths: [source], excludes: [], oneFileSystem: false },
    pipeline: {
      compression: "zstd",
      level: null,
      encryption: key.endsWith(".age") ? { recipients: [recipient] } : null,
    },
    targets: [
      {
        id: 1,
        name: "disk",
        storage: await openStorage("local_disk", { path: at("tree") }),
        key,
        quotaRemainingBytes: null,
      },
    ],
    base,
    onIndex: (bytes) => {
      index = Buffer.from(bytes);
    },
    workDir,
    report: { progress: () => {}, log: () => {} },
    signal: new AbortController().signal,
  });
  if (!index) throw new Error("it has no index");
  return { sha256, index: decodeArchiveIndex(index) };
}

/** A command that must succeed; its standard output. */
async function agent(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runAgentCommand(args);
  expect(code, `${args.join(" ")}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

const expectTree = (original: string, restored: string) => {
  expect(compareTrees(original, join(restored, source), []).differences).toEqual([]);
  expect(readdirSync(join(restored, source)).sort()).toEqual(readdirSync(original).sort());
};

for (const { type, needs, serve } of servedStorages) {
  describeWith(needs, `without a master, ${type}`, () => {
    let served: Served;
    let there: string[];
    let place: string;
    beforeAll(async () => {
      place = mkdtempSync(at(`${type}-`));
      served = await serve(place);
      there = ["--storage", storageFile(place, served.settings), ...served.flags];
      const storage = await openStorage(type, served.config);
      for (const key of Object.values(keys))
        await storage.put(key, createReadStream(at("tree", key)), { signal: new AbortController().signal });
    });
    afterAll(() => served?.close());

    it("backs up, lists, verifies, tries, restores whole and in part, and all of it is as it was", async () => {
      const to = ["--to", "by hand", "--name", "web", "--json"];
      const made = JSON.parse(await agent("backup", source, ...there, ...to));
      expect(made.artifact).toMatch(/^by hand\/web-\d{8}T\d{6}Z\.tar\.zst$/);
      const listed = JSON.parse(await agent("list", ...there, "--name", "BY HAND/", "--json"));
      expect(listed.objects).toEqual([
        {
          key: made.artifact,
          sizeBytes: made.sizeBytes,
          storedAt: type === "rclone" ? null : expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/),
          type: "file",
          compression: "zstd",
          encrypted: false,
          task: null,
          recordId: null,
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}Z$/),
        },
      ]);
      expect(await agent("list", made.artifact, ...there, "--path", source)).toMatch(/ 8 B .* hosts\n/);
      const proved = ["--grade", "4", "--sha256", made.sha256];
      expect(await agent("verify", made.artifact, ...there, ...proved)).toMatch(/grade 4 of 4 is proved\n$/);
      const whole = join(place, "whole");
      const tried = await agent("restore", made.artifact, ...there, "--to", whole, "--dry-run");
      expect(tried).toMatch(/^would create 8 entries.*\n(?:.*\n)*nothing was written\n$/);
      expect(existsSync(whole)).toBe(false);
      await agent("restore", made.artifact, ...there, "--to", whole);
      expectTree(source, whole);
      const refused = await runAgentCommand(["restore", made.artifact, ...there, "--to", whole]);
      expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("exist") });
      const part = join(place, "part");
      await agent("restore", made.artifact, ...there, "--to", part, "--path", join(source, "nginx"));
      expect(readdirSync(join(part, source))).toEqual(["nginx"]);
      expect(compareTrees(join(source, "nginx"), join(part, source, "nginx"), []).differences).toEqual([]);
    });

    it("does the same with an encrypted backup, for which it needs the key", async () => {
      const made = JSON.parse(await agent("backup", source, ...there, "--recipient", recipient, "--json"));
      expect(made.artifact).toMatch(/^[^/]+-\d{8}T\d{6}Z\.tar\.zst\.age$/);
      const key = ["--identity", identityFile];
      expect(await agent("list", made.artifact, ...there, ...key, "--name", "HOSTS")).toContain(
        `${source}/hosts\n`,
      );
      const back = join(place, "unlocked");
      const without = await runAgentCommand(["restore", made.artifact, ...there, "--to", back]);
      expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining("--identity") });
      expect(await agent("verify", made.artifact, ...there, ...key)).toMatch(/^3 +passed /m);
      await agent("restore", made.artifact, ...there, ...key, "--to", back);
      expectTree(source, back);
    });

    it("restores what a master has put there, a differential backup too, whose full one it finds by itself", async () => {
      const told = await agent("list", ...there, "--name", "backupx/");
      const column = (text: string) => new RegExp(text.replaceAll(" ", " +"), "m");
      expect(told).toMatch(
        column(`^2026-11-30 .+ file \\d+ B yes etc-of-web-1 \\(2\\) 10 ${keys.lockedDifferential}$`),
      );
      expect(told).toMatch(column(`^2026-11-23 .+ file .+ KiB no etc \\(2\\) 2 ${keys.full}$`));
      expect(told.split("\n").map((line) => line.split(/ +/).at(-1))).toEqual([
        "OBJECT",
        keys.lockedDifferential,
        keys.differential,
        keys.lockedFull,
        keys.full,
        "",
      ]);
      const identity = ["--identity", identityFile];
      await agent("restore", keys.full, ...there, "--to", join(place, "full"));
      expectTree(before, join(place, "full"));
      await agent("restore", keys.differential, ...there, "--to", join(place, "both"));
      expectTree(source, join(place, "both"));
      await agent("restore", keys.lockedDifferential, ...there, ...identity, "--to", join(place, "locked"));
      expectTree(source, join(place, "locked"));
      const part = ["--path", join(source, "nginx/nginx.conf"), "--to", join(place, "one")];
      await agent("restore", keys.differential, ...there, ...part);
      expect(readFileSync(join(place, "one", source, "nginx/nginx.conf"), "utf8")).toBe("events {}\n");
      const verified = await agent("verify", keys.lockedDifferential, ...there, ...identity, "--grade", "4");
      expect(verified).toMatch(/^4 +passed +restored, all 8 entries/m);
    });

    it("says what is not there", async () => {
      const [wrong, back] = [keyOf(77, 30, ".tar.zst"), join(place, "nothing")];
      for (const args of [
        ["restore", wrong, ...there, "--to", back],
        ["list", wrong, ...there],
      ]) {
        const { code, stdout, stderr } = await runAgentCommand(args);
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
        expect(stderr).toContain(
          `there is no ${wrong}; \`backupx-agent list --storage ${there[1]}\` shows what is`,
        );
      }
      const verified = await runAgentCommand(["verify", wrong, ...there]);
      expect(verified).toMatchObject({
        code: 1,
        stdout: expect.stringContaining("it is not there any more"),
      });
      expect(existsSync(back)).toBe(false);
    });
  });
}

describe("a differential backup without a master", () => {
  it("finds its full one in a tree of this machine, and beside it", async () => {
    const place = scratch();
    await agent("restore", at("tree", keys.differential), "--to", join(place, "tree"));
    expectTree(source, join(place, "tree"));
    for (const key of [keys.full, keys.differential])
      await cp(at("tree", key), join(place, "fetched", key.split("/").at(-1) as string));
    await agent("restore", join(place, "fetched/etc-t2-r9.tar.zst"), "--to", join(place, "beside"));
    expectTree(source, join(place, "beside"));
  });

  it("says which is missing when it is, and writes nothing", async () => {
    const place = scratch();
    await cp(at("tree", keys.differential), join(place, "etc-t2-r9.tar.zst"));
    const args = ["restore", join(place, "etc-t2-r9.tar.zst"), "--to", join(place, "back")];
    const { code, stderr } = await runAgentCommand(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /etc-t2-r9\.tar\.zst is a differential backup, .* was not found: it is that of record 2, its SHA-256 [0-9a-f]{64}; name it by --base\n$/,
    );
    expect(await runAgentCommand([...args, "--dry-run"])).toMatchObject({ code, stderr });
    const misspelt = await runAgentCommand([...args, "--base", join(place, "etc.tar.zst")]);
    expect(misspelt).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/there is no .*etc\.tar\.zst\n$/),
    });
    expect(existsSync(join(place, "back"))).toBe(false);
    const verified = await runAgentCommand(["verify", join(place, "etc-t2-r9.tar.zst"), "--grade", "4"]);
    expect(verified).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^4 +not checked .*full one is not at hand$/m),
    });
    const named = ["--base", at("tree", keys.full)];
    await agent(...args, ...named);
    expectTree(source, join(place, "back"));
  });

  it("is not restored on a full one that is another", async () => {
    const place = scratch();
    await cp(at("tree", keys.differential), join(place, "etc-t2-r9.tar.zst"));
    // It holds every file that the differential one leaves to its base.
    await make("another.tar.zst");
    await cp(at("tree/another.tar.zst"), join(place, "etc-t2-r2.tar.zst"));
    const args = ["restore", join(place, "etc-t2-r9.tar.zst"), "--to", join(place, "back")];
    expect(await runAgentCommand(args)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("record 2, on which it stands: its SHA-256"),
    });
    expect(existsSync(join(place, "back"))).toBe(false);
  });
});

it("the settings of a storage may come by a pipe, and are in no file then", async () => {
  const place = scratch();
  const input = JSON.stringify({ type: "local_disk", path: at("tree") });
  const there = ["--storage", "/dev/stdin"];
  const piped = async (...args: string[]) => {
    const { code, stdout, stderr } = runByPipe(args, input);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const made = JSON.parse(await piped("backup", source, ...there, "--to", "piped", "--json"));
  expect(await piped("list", ...there)).toContain(made.artifact);
  const full = ["--base", keys.full, "--to", join(place, "back")];
  await piped("restore", keys.differential, ...there, ...full);
  expectTree(source, join(place, "back"));
});

/** By a shell's pipe: what Node gives a child is a socket, which has no name to be opened by. */
function runByPipe(args: string[], input: string) {
  const script = 'printf %s "$0" | exec "$@"';
  const command = [script, input, process.execPath, agentEntry, ...args];
  const child = spawnSync("sh", ["-c", ...command], { encoding: "utf8" });
  return { code: child.status, stdout: child.stdout, stderr: child.stderr };
}

it("a key that does not fit, or a secret that is wrong, restores nothing and is told, the secret not repeated", async () => {
  const place = scratch();
  const server = await startStrictS3();
  const settings = { type: "s3", endpoint: server.endpoint, region, bucket, ...credentials };
  const there = ["--storage", storageFile(place, settings)];
  const back = join(place, "back");
  try {
    const made = JSON.parse(await agent("backup", source, ...there, "--recipient", recipient, "--json"));
    const stranger = join(place, "stranger.txt");
    writeFileSync(stranger, `${await generateX25519Identity()}\n`, { mode: 0o600 });
    const unopened = await runAgentCommand([
      "restore",
      made.artifact,
      ...there,
      "--identity",
      stranger,
      "--to",
      back,
    ]);
    expect(unopened).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("X25519") });
    storageFile(place, { ...settings, secretAccessKey: "PLANTED" });
    const denied = await runAgentCommand([
      "restore",
      made.artifact,
      ...there,
      "--identity",
      identityFile,
      "--to",
      back,
    ]);
    expect(denied).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/403|denied/) });
    expect(denied.stderr).not.toContain("PLANTED");
    expect(existsSync(back)).toBe(false);
  } finally {
    await server.close();
  }
});

it("one file out of a large encrypted archive in a bucket costs little more than its own part of it", async () => {
  const place = scratch();
  const tree = join(place, "tree");
  mkdirSync(tree);
  for (let i = 0; i < 48; i += 1) writeFileSync(join(tree, `file-${i}`), randomBytes(1024 * 1024));
  const server = await startStrictS3();
  const proxy = await startFaultyProxy(server.port);
  const asked: (string | undefined)[] = [];
  proxy.plan = ({ method, headers }) => {
    if (method === "GET") asked.push(headers.range);
    return undefined;
  };
  try {
    const settings = { type: "s3", endpoint: proxy.endpoint, region, bucket, ...credentials };
    const there = ["--storage", storageFile(place, settings)];
    const made = JSON.parse(await agent("backup", tree, ...there, "--recipient", recipient, "--json"));
    expect(made.sizeBytes).toBeGreaterThan(48 * 1024 * 1024);
    const key = ["--identity", identityFile];
    const wanted = join(tree, "file-30");
    await agent("restore", made.artifact, ...there, ...key, "--path", wanted, "--to", join(place, "back"));
    expect(readFileSync(join(place, "back", wanted)).equals(readFileSync(wanted))).toBe(true);
    const bytes = asked.map((range) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
      return Number(to) - Number(from) + 1;
    });
    expect(bytes.length).toBeGreaterThan(0);
    expect(bytes.reduce((sum, count) => sum + count, 0)).toBeLessThan(made.sizeBytes / 4);
  } finally {
    await proxy.close();
    await server.close();
  }
});
