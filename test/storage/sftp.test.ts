import { readdirSync, statSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type SftpOptions, sftp } from "../../agent-cli/storage/sftp.ts";
import type { SftpConfig } from "../../agent-cli/storage/sftp-session.ts";
import { startTcpProxy, type TcpFault, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { describeWith } from "../needs.ts";
import { storageConformance } from "./conformance.ts";
import { partialsIn, type SshServer, startSshd } from "./servers.ts";
import { collect, keysOf, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const configOf = ({ port, username, privateKey, fingerprint, files }: SshServer): SftpConfig => ({
  host: "127.0.0.1",
  port,
  username,
  privateKey,
  hostKey: fingerprint,
  path: join(files, "some where"),
});

describeWith(["sshd"], "sftp on OpenSSH", () => {
  storageConformance(
    "sftp on OpenSSH",
    async () => {
      const server = await startSshd();
      return {
        storage: sftp(configOf(server)),
        leftovers: () => partialsIn(server.files),
        close: server.close,
      };
    },
    { canList: true, canDelete: true, maxReadAheadBytes: 17 * MiB, manyKeys: 300, knowsFirstByte: true },
  );
});

describeWith(["sshd"], "sftp: faults", () => {
  let server: SshServer;
  let proxy: TcpProxy;
  beforeAll(async () => {
    server = await startSshd();
    proxy = await startTcpProxy(server.port);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.close();
  });
  beforeEach(async () => {
    proxy.plan = () => undefined;
    proxy.connections = 0;
    proxy.hits = 0;
    await rm(join(server.files, "some where"), { recursive: true, force: true });
  });
  const open = (config: Partial<SftpConfig> = {}, more: SftpOptions = {}) =>
    sftp({ ...configOf(server), port: proxy.port, ...config }, { retryPolicy: quick, ...more });
  const faults: [string, "cut" | "stall"][] = [
    ["is cut", "cut"],
    ["stalls", "stall"],
  ];
  const openFor = (kind: "cut" | "stall") => open({}, kind === "stall" ? { stallMs: 700 } : {});

  it.each(
    faults.flatMap(([words, kind]) =>
      [4000, 1 * MiB, 9 * MiB, 19 * MiB].map((at) => [words, at, kind] as const),
    ),
  )(
    "a connection that %s after %i bytes, twice, is made again, and only parts on their way are repeated",
    async (_words, afterBytes, kind) => {
      proxy.plan = (number) => (number <= 2 ? { kind, afterBytes } : undefined);
      const data = randomData(20 * MiB);
      let reported = 0;
      const onBytes = (bytes: number) => {
        reported += bytes;
      };
      const storage = openFor(kind);
      await storage.put("a/k", oddChunks(data.bytes), { ...options, onBytes });
      expect(proxy.hits).toBeGreaterThanOrEqual(1);
      expect(reported).toBe(20 * MiB);
      expect(sha256(await collect(await storage.get("a/k", options)))).toBe(data.sha256);
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  it.each(faults)(
    "when every connection %s, the put fails in words, and a delete clears up",
    async (_words, kind) => {
      proxy.plan = () => ({ kind, afterBytes: 3 * MiB });
      await expect(
        openFor(kind).put("k", oddChunks(randomData(20 * MiB).bytes), options),
      ).rejects.toMatchObject({ name: "StorageError", kind: "unreachable", permanent: false });
      proxy.plan = () => undefined;
      expect(await open().stat("k", options)).toBeNull();
      await open().delete("k", options);
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  const sizeBytes = 1000;
  const stored = () => {
    const folder = join(server.files, "some where", "a");
    const sizes = new Map<string, number>();
    try {
      for (const name of readdirSync(folder)) sizes.set(name, statSync(join(folder, name)).size);
    } catch {
      // Nothing is there yet, or it is being renamed.
    }
    return sizes;
  };
  /** The messages behind the last byte: flush, size, close, rename; and their answers, that of the write before them. */
  const last = [
    ...[1, 2, 3, 4].map((nth) => ["client", nth, "request"] as const),
    ...[1, 2, 3, 4, 5].map((nth) => ["server", nth, "answer"] as const),
  ];
  const cutAtMessage = (from: "client" | "server", nth: number): TcpFault => {
    let seen = 0;
    const isWritten = () => [...stored().values()].includes(sizeBytes);
    return { kind: "cut-before", from, when: () => isWritten() && ++seen === nth };
  };

  it.each(last)(
    "when the connection is cut at the %s's message %i behind the last byte, the object is there whole",
    async (from, nth) => {
      const data = randomData(sizeBytes);
      const fault = cutAtMessage(from, nth);
      proxy.plan = () => (proxy.hits === 0 ? fault : undefined);
      await open().put("a/k", oddChunks(data.bytes), options);
      expect(proxy.hits).toBe(1);
      expect([...stored().keys()]).toEqual(["k"]);
      expect(sha256(await collect(await open().get("a/k", options)))).toBe(data.sha256);
    },
  );

  it.each(last)(
    "when every connection is cut from the %s's message %i behind the last byte on, it is there whole or not at all",
    async (from, nth) => {
      const data = randomData(sizeBytes);
      proxy.plan = (number) => cutAtMessage(from, number === 1 ? nth : 1);
      await expect(open().put("a/k", oddChunks(data.bytes), options)).rejects.toMatchObject({
        name: "StorageError",
        kind: "unreachable",
      });
      proxy.plan = () => undefined;
      const found = await open().stat("a/k", options);
      if (found) expect(sha256(await collect(await open().get("a/k", options)))).toBe(data.sha256);
      expect(found === null).toBe(from === "client" || nth < 5);
      await open().delete("a/k", options);
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  it("goes on with a get that was cut, when it is retried", async () => {
    const { retrying } = await import("../../agent-cli/storage/retrying.ts");
    const data = randomData(20 * MiB);
    const storage = retrying(open(), quick);
    await storage.put("k", oddChunks(data.bytes), options);
    const chunks: Uint8Array[] = [];
    let seenBytes = 0;
    for await (const chunk of await storage.get("k", options)) {
      if (seenBytes < 5 * MiB && seenBytes + chunk.length >= 5 * MiB) proxy.cutAll();
      seenBytes += chunk.length;
      chunks.push(chunk);
    }
    expect(sha256(Buffer.concat(chunks))).toBe(data.sha256);
  });

  it("sends nothing to a server whose key it does not know, and tells the key", async () => {
    await expect(open({ hostKey: "" }).check(options)).rejects.toMatchObject({
      kind: "denied",
      permanent: true,
      message: expect.stringContaining(`its host key is not known here. It shows ${server.fingerprint}`),
    });
    const other = `SHA256:${Buffer.alloc(32).toString("base64")}`;
    await expect(open({ hostKey: other }).check(options)).rejects.toMatchObject({
      kind: "denied",
      message: expect.stringContaining("NOT the one that is known"),
    });
  });

  it("knows a server by a known_hosts file, hashed or plain, and no other", async () => {
    const known = { hostKey: "", knownHostsFile: server.knownHosts, port: server.port };
    await open(known).check(options);
    // The same key at another port is another server.
    await expect(open({ ...known, port: proxy.port }).check(options)).rejects.toMatchObject({
      kind: "denied",
    });
    await expect(open({ ...known, knownHostsFile: "/no/such" }).check(options)).rejects.toMatchObject({
      kind: "invalid",
      message: "knownHostsFile /no/such: ENOENT",
    });
  });

  it.each<[string, Partial<SftpConfig>, string, RegExp]>([
    [
      "a wrong password",
      { privateKey: "", password: "planted-1" },
      "denied",
      /neither this user's password nor key/,
    ],
    ["a key that is none", { privateKey: "planted-2" }, "invalid", /private key cannot be read/],
    ["a port where nobody listens", { port: 1 }, "unreachable", /ECONNREFUSED/],
    [
      "a parent that does not exist",
      { path: "/no/such/place" },
      "invalid",
      /\/no\/such\/place cannot be made: the directory above/,
    ],
  ])("says what is wrong with %s, without secrets", async (_what, config, kind, words) => {
    const error = await open(config)
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ name: "StorageError", kind, message: expect.stringMatching(words) });
    expect(error.message).not.toContain("planted");
  });

  it("follows no link and lists none", async () => {
    const root = join(server.files, "some where");
    await mkdir(root);
    await writeFile(join(server.files, "outside"), "x");
    await symlink(join(server.files, "outside"), join(root, "link"));
    expect(await open().stat("link", options)).toBeNull();
    await expect(open().get("link", options)).rejects.toMatchObject({ kind: "not_found" });
    expect(await keysOf(open().list("", options))).toEqual([]);
  });

  it("removes the directories that it made", async () => {
    const storage = open();
    await storage.put("a/b/c/k", oddChunks(Buffer.from("x")), options);
    await storage.delete("a/b/c/k", options);
    expect(await keysOf(storage.list("", options))).toEqual([]);
    await expect(rm(join(server.files, "some where", "a"), { recursive: true })).rejects.toThrow(/ENOENT/);
  });
});
