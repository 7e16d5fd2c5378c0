import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type FtpConfig, type FtpOptions, ftp } from "../../agent-cli/storage/ftp.ts";
import { retrying } from "../../agent-cli/storage/retrying.ts";
import { startTcpProxy, type TcpFault, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { describeWith } from "../needs.ts";
import { type Capabilities, storageConformance } from "./conformance.ts";
import { type FtpServer, partialsIn, startProftpd } from "./servers.ts";
import { collect, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const streamed: Capabilities = {
  canList: true,
  canDelete: true,
  maxReadAheadBytes: 2 * MiB,
  manyKeys: 200,
  knowsFirstByte: true,
  refusesStars: true,
};
const configOf = ({ port, username, password }: FtpServer, more: Partial<FtpConfig> = {}): FtpConfig => ({
  host: "127.0.0.1",
  port,
  tls: "none",
  username,
  password,
  path: "some where",
  ...more,
});
const trust = (caFile: string) => tls.setDefaultCACertificates([readFileSync(caFile, "utf8")]);

describeWith(["proftpd"], "ftp on ProFTPD", () => {
  for (const kind of ["none", "explicit", "implicit"] as const) {
    storageConformance(
      `ftp on ProFTPD, TLS: ${kind}`,
      async () => {
        const server = await startProftpd(kind === "implicit" ? "implicit" : "explicit");
        trust(server.caFile);
        return {
          storage: ftp(configOf(server, { tls: kind })),
          leftovers: () => partialsIn(server.files),
          close: server.close,
        };
      },
      streamed,
    );
  }
});

describeWith(["proftpd"], "ftp: faults", () => {
  let server: FtpServer;
  let control: TcpProxy;
  let data: TcpProxy[] = [];
  /** What happens to the data connections, of which the first is number 1. */
  let plan: (number: number) => TcpFault | undefined;
  let hits = () => 0;

  beforeAll(async () => {
    server = await startProftpd();
    control = await startTcpProxy(server.port, async (text) => {
      const [, port] = /^229 .*\|\|\|(\d+)\|/.exec(String(text)) ?? [];
      if (!port) return text;
      const proxy = await startTcpProxy(Number(port));
      const number = data.push(proxy);
      proxy.plan = () => plan(number);
      return Buffer.from(String(text).replace(port, String(proxy.port)));
    });
    hits = () => data.reduce((sum, proxy) => sum + proxy.hits, 0);
  });
  afterAll(async () => {
    await control?.close();
    await Promise.all(data.map((proxy) => proxy.close()));
    await server?.close();
  });
  beforeEach(async () => {
    await Promise.all(data.map((proxy) => proxy.close()));
    data = [];
    plan = () => undefined;
    control.plan = () => undefined;
    control.connections = 0;
    await rm(join(server.files, "some where"), { recursive: true, force: true });
  });
  const open = (config: Partial<FtpConfig> = {}, more: FtpOptions = {}) =>
    ftp(configOf(server, { port: control.port, ...config }), { retryPolicy: quick, ...more });
  const faults: [string, "cut" | "stall"][] = [
    ["is cut", "cut"],
    ["stalls", "stall"],
  ];
  const openFor = (kind: "cut" | "stall") => open({}, kind === "stall" ? { stallMs: 700 } : {});

  it.each(faults.flatMap(([words, kind]) => [1, 3 * MiB, 31 * MiB].map((at) => [words, at, kind] as const)))(
    "an upload that %s after %i bytes, twice, goes on where the server is",
    async (_words, afterBytes, kind) => {
      plan = (number) => (number <= 2 ? { kind, afterBytes } : undefined);
      const bytes = randomData(64 * MiB);
      let reported = 0;
      const onBytes = (count: number) => {
        reported += count;
      };
      const storage = openFor(kind);
      await storage.put("a/k", oddChunks(bytes.bytes), { ...options, onBytes });
      expect(hits()).toBe(2);
      expect(reported).toBe(64 * MiB);
      expect(sha256(await collect(await storage.get("a/k", options)))).toBe(bytes.sha256);
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  it.each(faults)("when every upload %s, the put fails in words and leaves nothing", async (_words, kind) => {
    plan = () => ({ kind, afterBytes: 3 * MiB });
    const putting = openFor(kind).put("k", oddChunks(randomData(20 * MiB).bytes), options);
    await expect(putting).rejects.toMatchObject({
      name: "StorageError",
      kind: "unreachable",
      permanent: false,
    });
    plan = () => undefined;
    expect(await open().stat("k", options)).toBeNull();
    expect(await partialsIn(server.files)).toEqual([]);
  });

  /** What is said about the rename that gives an object its key. */
  const renaming: [string, Extract<TcpFault, { kind: "cut-before" }>][] = [
    ["RNFR is cut", { kind: "cut-before", from: "client", when: (said) => /^RNFR/.test(String(said)) }],
    [
      "RNFR loses its answer",
      { kind: "cut-before", from: "server", when: (said) => /^350/.test(String(said)) },
    ],
    ["RNTO is cut", { kind: "cut-before", from: "client", when: (said) => /^RNTO/.test(String(said)) }],
    [
      "RNTO loses its answer",
      { kind: "cut-before", from: "server", when: (said) => /^250 Rename/.test(String(said)) },
    ],
  ];
  const cutControl = (times: number, fault: TcpFault) => {
    const before = control.hits;
    control.plan = () => (control.hits - before < times ? fault : undefined);
    return () => control.hits - before;
  };

  it.each(renaming.flatMap(([words, fault]) => [1, 2].map((times) => [words, times, fault] as const)))(
    "when %s, at most %i times, the object is there whole, over an older one too",
    async (_what, times, fault) => {
      const storage = open();
      for (const sizeBytes of [5 * MiB, 1000]) {
        const bytes = randomData(sizeBytes);
        const struck = cutControl(times, fault);
        await storage.put("a/k", oddChunks(bytes.bytes), options);
        expect(struck()).toBeGreaterThan(0);
        expect(sha256(await collect(await storage.get("a/k", options)))).toBe(bytes.sha256);
        expect(await partialsIn(server.files)).toEqual([]);
      }
    },
  );

  // Not the last: once the object has its name, the second try finds it.
  it.each(renaming.slice(0, -1))(
    "when %s every time, the put fails in words and leaves nothing",
    async (_what, fault) => {
      cutControl(99, fault);
      await expect(open().put("a/k", oddChunks(randomData(1 * MiB).bytes), options)).rejects.toMatchObject({
        name: "StorageError",
        kind: "unreachable",
      });
      control.plan = () => undefined;
      expect(await open().stat("a/k", options)).toBeNull();
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  it("goes on with a get that was cut, when it is retried", async () => {
    const bytes = randomData(20 * MiB);
    const storage = retrying(open(), quick);
    await storage.put("k", oddChunks(bytes.bytes), options);
    const chunks: Uint8Array[] = [];
    let seenBytes = 0;
    for await (const chunk of await storage.get("k", options)) {
      if (seenBytes < 5 * MiB && seenBytes + chunk.length >= 5 * MiB) data.at(-1)?.cutAll();
      seenBytes += chunk.length;
      chunks.push(chunk);
    }
    expect(sha256(Buffer.concat(chunks))).toBe(bytes.sha256);
  });

  it("logs in to no server whose certificate nobody vouches for", async () => {
    tls.setDefaultCACertificates([]);
    const error = await open({ tls: "explicit", port: server.port })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: "unreachable", permanent: true });
    expect(error.message).toMatch(/its certificate is/);
    trust(server.caFile);
    await open({ tls: "explicit", port: server.port }).check(options);
  });

  it.each<[string, Partial<FtpConfig>, string, RegExp]>([
    ["a wrong password", { password: "planted" }, "denied", /530/],
    ["a port where nobody listens", { port: 1 }, "unreachable", /the connection was refused/],
    ["a parent that does not exist", { path: "/no/such/place" }, "failed", /550/],
  ])("says what is wrong with %s, without secrets", async (_what, config, kind, words) => {
    const error = await open(config)
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ name: "StorageError", kind, message: expect.stringMatching(words) });
    expect(error.message).not.toContain("planted");
  });
});
