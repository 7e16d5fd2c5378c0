import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { inBoth, tokenBucket } from "../../agent-cli/storage/limited.ts";
import { openStorage } from "../../agent-cli/storage/open-storage.ts";
import { type RcloneConfig, rclone } from "../../agent-cli/storage/rclone.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { describeWith } from "../needs.ts";
import { type Capabilities, storageConformance } from "./conformance.ts";
import { recorded } from "./recorded.ts";
import { partialsIn, type Server, startRcloneWebdav } from "./servers.ts";
import { collect, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const piped: Capabilities = {
  canList: true,
  canDelete: true,
  maxReadAheadBytes: 6 * MiB,
  manyKeys: 30,
  knowsFirstByte: true,
  tellsNoTimes: true,
};
const obscure = async (text: string) =>
  (await promisify(execFile)("rclone", ["obscure", text])).stdout.trim();
/** A remote of which everything but its path comes from its connection string and the environment. */
const overWebdav = async (port: number, path = "some where"): Promise<RcloneConfig> => ({
  remote: `:webdav,url="http://127.0.0.1:${port}",vendor=other,user=someone:${path}`,
  settings: { pass: await obscure("a password") },
});

describeWith(["rclone"], "rclone", () => {
  storageConformance(
    "rclone, a remote of the node's own configuration",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "rclone-"));
      const configFile = join(folder, "rclone.conf");
      await writeFile(configFile, `[nas]\ntype = alias\nremote = ${folder}/files\n`);
      return {
        storage: rclone({ remote: "nas:some where/", configFile }),
        leftovers: () => partialsIn(folder),
        close: () => rm(folder, { recursive: true }),
      };
    },
    piped,
  );

  storageConformance(
    "rclone, a connection string for a server",
    async () => {
      const server = await startRcloneWebdav();
      return {
        storage: rclone(await overWebdav(server.port)),
        leftovers: () => partialsIn(server.files),
        close: server.close,
      };
    },
    piped,
  );
});

describeWith(["rclone"], "rclone: faults", () => {
  let server: Server;
  let proxy: TcpProxy;
  beforeAll(async () => {
    server = await startRcloneWebdav();
    proxy = await startTcpProxy(server.port);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.close();
  });

  it("repeats an upload that broke while all of it is kept, and fails in words when it is not", async () => {
    const storage = rclone(await overWebdav(proxy.port), { retryPolicy: quick });
    const data = randomData(10 * MiB);
    let isStruck = false;
    proxy.plan = () => {
      if (isStruck) return undefined;
      return { kind: "cut", afterBytes: 3 * MiB };
    };
    const timer = setInterval(() => {
      isStruck = proxy.hits > 0;
    }, 1);
    await storage.put("k", oddChunks(data.bytes), options);
    clearInterval(timer);
    expect(proxy.hits).toBeGreaterThan(0);
    expect(sha256(await collect(await storage.get("k", options)))).toBe(data.sha256);
    proxy.plan = () => ({ kind: "cut", afterBytes: 40 * MiB });
    await expect(storage.put("k", oddChunks(randomData(60 * MiB).bytes), options)).rejects.toMatchObject({
      name: "StorageError",
      permanent: false,
    });
    proxy.plan = () => undefined;
    expect(sha256(await collect(await storage.get("k", options)))).toBe(data.sha256);
    expect(await partialsIn(server.files)).toEqual([]);
  });

  it("gives up when nothing moves", async () => {
    const storage = rclone(await overWebdav(proxy.port), {
      retryPolicy: { ...quick, attempts: 1 },
      stallMs: 1500,
    });
    proxy.plan = () => ({ kind: "stall", afterBytes: 1 * MiB });
    await expect(storage.put("s", oddChunks(randomData(30 * MiB).bytes), options)).rejects.toMatchObject({
      kind: "unreachable",
      message: expect.stringContaining("no data moved"),
    });
    proxy.plan = () => undefined;
    const patient = rclone(await overWebdav(proxy.port));
    expect(await patient.stat("s", options)).toBeNull();
    await patient.delete("s", options);
  });

  it.each<[string, () => Promise<RcloneConfig>, string, RegExp]>([
    [
      "a remote that is not configured",
      async () => ({ remote: "no-such:x", configFile: "/dev/null" }),
      "invalid",
      /didn't find section/,
    ],
    [
      "a backend that does not exist",
      async () => ({ remote: ":nosuch:x" }),
      "invalid",
      /didn't find backend/,
    ],
    [
      "a wrong password",
      async () => ({ ...(await overWebdav(server.port)), settings: { pass: await obscure("planted") } }),
      "denied",
      /401/,
    ],
    ["a port where nobody listens", () => overWebdav(1), "unreachable", /refused/],
  ])("says what is wrong with %s, without secrets", async (_what, config, kind, words) => {
    const settings = await config();
    const error = await rclone(settings, { retryPolicy: quick })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ name: "StorageError", kind, message: expect.stringMatching(words) });
    for (const secret of Object.values(settings.settings ?? {})) expect(error.message).not.toContain(secret);
  });

  it.each<RcloneConfig>([
    { remote: ':webdav,url="http://x",bearer_token_command="touch /tmp/x":p' },
    { remote: ":sftp,ssh=touch:p" },
    { remote: "nas:p", settings: { "bearer-token-command": "touch" } },
    { remote: ":password:p", settings: { command: "touch" } },
    { remote: ":alias:p", settings: { remote: ":sftp,ssh=touch:p" } },
  ])("lets no target choose a program to run: %o", (config) => {
    expect(() => rclone(config)).toThrow(/names a program to run/);
  });

  it("says when the program is missing", async () => {
    const path = process.env.PATH;
    process.env.PATH = "/nowhere";
    const storage = rclone({ remote: "x:y" });
    process.env.PATH = path;
    await expect(storage.stat("k", options)).rejects.toMatchObject({
      kind: "invalid",
      message: "the program rclone is not installed on this machine",
    });
  });
});

describeWith(["rclone"], "rclone under a bandwidth cap", () => {
  it("keeps to the lower cap by itself as well, in every run, and moves the same bytes", async () => {
    const calls = recorded("rclone");
    const folder = await mkdtemp(join(tmpdir(), "rclone-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const bucket = inBoth(tokenBucket(80 * MiB), tokenBucket(50 * MiB + 1));
    const storage = await openStorage("rclone", { remote: `:local:${folder}` }, { bucket });
    const data = randomData(3 * MiB);
    await storage.put("a/k", oddChunks(data.bytes), options);
    expect(sha256(await collect(await storage.get("a/k", options)))).toBe(data.sha256);
    expect(calls().map((call) => call.split(" ")[0])).toEqual(
      expect.arrayContaining(["rcat", "moveto", "cat"]),
    );
    for (const call of calls()) expect(call).toContain(`--bwlimit ${50 * MiB + 1}B --buffer-size 0`);
  });

  it("may take longer to rename than it may be silent otherwise, since it may have to copy", async () => {
    const calls = recorded("rclone", '[ "$1" != moveto ] || sleep 5');
    const folder = await mkdtemp(join(tmpdir(), "rclone-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const storage = rclone({ remote: `:local:${folder}` }, { stallMs: 4000, retryPolicy: quick });
    await storage.put("k", oddChunks(randomData(1000).bytes), options);
    expect(await storage.stat("k", options)).toEqual({ sizeBytes: 1000 });
    expect(calls().filter((call) => call.startsWith("moveto"))).toHaveLength(1);
  });

  it("is told of none where there is none", async () => {
    const calls = recorded("rclone");
    const storage = await openStorage("rclone", { remote: `:local:${tmpdir()}` });
    expect(await storage.stat("there/is/no/such", options)).toBeNull();
    expect(calls()).toHaveLength(1);
    expect(calls()[0]).not.toContain("bwlimit");
  });
});
