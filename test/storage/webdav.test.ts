import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Storage } from "../../agent-cli/storage/storage.ts";
import { type WebdavOptions, webdav } from "../../agent-cli/storage/webdav.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { describeWith } from "../needs.ts";
import { type Capabilities, storageConformance } from "./conformance.ts";
import { partialsIn, type Server, startApache, startNginx, startRcloneWebdav } from "./servers.ts";
import { collect, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const streamed: Capabilities = {
  canList: true,
  canDelete: true,
  maxReadAheadBytes: 1 * MiB,
  manyKeys: 300,
  knowsFirstByte: true,
};
const login = { username: "someone", password: "a password" };
const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };

const servers: [program: string, start: () => Promise<Server>, able: Capabilities][] = [
  // Its PROPFIND leaves out names that begin with a dot.
  ["nginx", startNginx, { ...streamed, hidesDotFiles: true }],
  ["apache2", startApache, streamed],
  ["rclone", startRcloneWebdav, streamed],
];
for (const [program, start, able] of servers) {
  describeWith([program], `webdav on ${program}`, () => {
    storageConformance(
      `webdav on ${program}`,
      async () => {
        const { port, files, close } = await start();
        // A collection that is not there yet is made.
        const storage = webdav({ url: `http://127.0.0.1:${port}/some where/`, ...login });
        return { storage, leftovers: () => partialsIn(files), close };
      },
      able,
    );
  });
}

/** Each request of a put. */
const steps = {
  "the making of its collection": { matches: /^MKCOL/, cutAfter: 0 },
  "the upload": { matches: /^PUT/, cutAfter: 300_000 },
  "the proof of size": { matches: /^PROPFIND .*partial/, cutAfter: 0 },
  "the move": { matches: /^MOVE/, cutAfter: 0 },
};
const page: Fault = { kind: "answer", status: 200, headers: { "content-type": "text/html" }, body: "<html>" };

describeWith(["nginx"], "webdav: faults", () => {
  let server: Server;
  let proxy: FaultyProxy;
  let place = 0;
  beforeAll(async () => {
    server = await startNginx();
    proxy = await startFaultyProxy(server.port);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.close();
  });
  beforeEach(() => {
    place += 1;
    proxy.plan = () => undefined;
    proxy.hits = 0;
  });
  const open = (more: WebdavOptions = {}, config = {}) =>
    webdav({ url: `${proxy.endpoint}/${place}`, ...login, ...config }, { retryPolicy: quick, ...more });
  const openFor = (fault: Fault) => open(fault.kind === "stall" ? { stallMs: 400 } : {});
  const lineOf = (request: IncomingMessage) => `${request.method} ${request.url}`;
  const times = (count: number, matches: RegExp, fault: Fault) => {
    proxy.plan = (request) => (proxy.hits < count && matches.test(lineOf(request)) ? fault : undefined);
  };
  const putRandom = (storage: Storage, sizeBytes = 1 * MiB) =>
    storage.put("a/k", oddChunks(randomData(sizeBytes).bytes), options);
  const expectGoodPut = async (storage: Storage, sizeBytes = 3 * MiB) => {
    const data = randomData(sizeBytes);
    let reported = 0;
    const onBytes = (bytes: number) => {
      reported += bytes;
    };
    await storage.put("a/k", oddChunks(data.bytes), { ...options, onBytes });
    expect(sha256(await collect(await storage.get("a/k", options)))).toBe(data.sha256);
    expect(reported).toBe(sizeBytes);
    expect(await partialsIn(server.files)).toEqual([]);
  };

  it.each(
    Object.entries(steps).flatMap(([step, { matches, cutAfter }]) =>
      (
        [
          ["is cut", { kind: "cut", afterBytes: cutAfter }],
          ["loses its answer", { kind: "lose-answer" }],
          ["stalls", { kind: "stall" }],
          ["is answered 500", { kind: "answer", status: 500, body: "" }],
          ["is answered 503", { kind: "answer", status: 503, body: "" }],
        ] as [string, Fault][]
      ).map(([words, fault]) => [step, words, matches, fault] as const),
    ),
  )("when %s %s, once or twice, it is repeated", async (_step, _words, matches, fault) => {
    for (const count of [1, 2]) {
      proxy.hits = 0;
      times(count, matches, fault);
      await expectGoodPut(openFor(fault));
      expect(proxy.hits).toBe(count);
    }
  });

  it.each(
    Object.entries(steps).flatMap(([step, { matches, cutAfter }]) => [
      [step, "is cut", matches, { kind: "cut", afterBytes: cutAfter } as Fault, "unreachable"] as const,
      [step, "is answered 507", matches, { kind: "answer", status: 507, body: "" } as Fault, "full"] as const,
      [
        step,
        "is answered 403",
        matches,
        { kind: "answer", status: 403, body: "" } as Fault,
        "denied",
      ] as const,
      [step, "is answered with a page", matches, page, "failed"] as const,
    ]),
  )(
    "when %s %s every time, the put fails in words and leaves nothing",
    async (step, _words, matches, fault, kind) => {
      // A collection that exists may refuse to be made again, whatever the reason.
      times(99, matches, fault);
      await expect(putRandom(openFor(fault))).rejects.toMatchObject({ name: "StorageError", kind });
      proxy.plan = () => undefined;
      expect(await open().stat("a/k", options)).toBeNull();
      // What asks whether the file is there is needed to clean up too.
      if (step !== "the proof of size") expect(await partialsIn(server.files)).toEqual([]);
      await open().delete("a/k", options);
      expect(await partialsIn(server.files)).toEqual([]);
    },
  );

  it("takes back an object that a move with a lost answer has named", async () => {
    times(99, /^MOVE/, { kind: "lose-answer" });
    const storage = open();
    await expect(putRandom(storage)).rejects.toMatchObject({ kind: "unreachable" });
    expect(await storage.stat("a/k", options)).toBeNull();
    expect(await partialsIn(server.files)).toEqual([]);
  });

  it("does not repeat an upload whose first bytes are gone", async () => {
    times(1, /^PUT/, { kind: "cut", afterBytes: 40 * MiB });
    await expect(putRandom(open(), 50 * MiB)).rejects.toMatchObject({ kind: "unreachable" });
    expect(await partialsIn(server.files)).toEqual([]);
  });

  it("says when its password is wrong, without the password", async () => {
    const error = await open({}, { password: "planted-password" })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: "denied", message: expect.stringContaining("answered 401") });
    expect(error.message).not.toContain("planted-password");
  });

  it("takes no page for a file, a size or a list", async () => {
    await putRandom(open());
    times(99, /./, page);
    const words = { kind: "failed", message: expect.stringMatching(/is this address a WebDAV collection/) };
    await expect(open().stat("a/k", options)).rejects.toMatchObject(words);
    await expect(open().get("a/k", options)).rejects.toMatchObject(words);
    await expect(open().check(options)).rejects.toMatchObject(words);
  });

  it("never deletes a collection", async () => {
    const storage = open();
    await putRandom(storage);
    await storage.delete("a", options);
    expect(await storage.stat("a/k", options)).toEqual({ sizeBytes: 1 * MiB });
  });
});
