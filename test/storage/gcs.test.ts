import { generateKeyPairSync } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type GcsOptions, gcs } from "../../agent-cli/storage/gcs.ts";
import { tokenBucket } from "../../agent-cli/storage/limited.ts";
import { openStorage } from "../../agent-cli/storage/open-storage.ts";
import { retrying } from "../../agent-cli/storage/retrying.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { type StrictGcs, startStrictGcs } from "../fakes/strict-gcs.ts";
import { storageConformance } from "./conformance.ts";
import { collect, keysOf, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const openSessions = (service: StrictGcs) =>
  [...service.sessions.values()].filter(({ done }) => done === null).map(({ name }) => name);

storageConformance(
  "gcs on a strict stand-in",
  async () => {
    const service = await startStrictGcs();
    const { bucket, endpoint } = service;
    return {
      storage: gcs({
        bucket,
        endpoint,
        serviceAccountKey: service.serviceAccountKey(),
        prefix: "/some where/",
      }),
      leftovers: async () => openSessions(service),
      close: service.close,
    };
  },
  { canList: true, canDelete: true, maxReadAheadBytes: 25 * MiB, manyKeys: 1100, knowsFirstByte: true },
);

/** Each request of a put, by what its method, address and range say. */
const steps = {
  "the beginning": { matches: /^POST \/upload/, sizeBytes: 1 * MiB, cutAfter: 0 },
  "a single piece": { matches: /^PUT .* bytes 0-\d+\/\d+$/, sizeBytes: 1 * MiB, cutAfter: 300_000 },
  "a piece": { matches: /^PUT .* bytes \d+-\d+\/\*$/, sizeBytes: 20 * MiB, cutAfter: 5 * MiB },
  "the last piece": { matches: /^PUT .* bytes [1-9]\d*-\d+\/\d+$/, sizeBytes: 20 * MiB, cutAfter: 2 * MiB },
  "an empty object": { matches: /^PUT .* bytes \*\/0$/, sizeBytes: 0, cutAfter: 0 },
  "the token": { matches: /^POST \/token/, sizeBytes: 1 * MiB, cutAfter: 10 },
};
const page: Fault = { kind: "answer", status: 200, headers: { "content-type": "text/html" }, body: "<html>" };

describe("gcs: faults", () => {
  let service: StrictGcs;
  let proxy: FaultyProxy;
  let place = 0;
  beforeAll(async () => {
    service = await startStrictGcs();
    proxy = await startFaultyProxy(service.port);
  });
  afterAll(async () => {
    await proxy?.close();
    await service?.close();
  });
  beforeEach(() => {
    place += 1;
    proxy.plan = () => undefined;
    proxy.hits = 0;
    service.clock = Date.now;
    service.tokenSeconds = 3600;
    service.storesAtOnceBytes = Number.POSITIVE_INFINITY;
    service.quotaBytes = Number.POSITIVE_INFINITY;
  });
  const config = () => ({
    bucket: service.bucket,
    endpoint: proxy.endpoint,
    serviceAccountKey: service.serviceAccountKey(proxy.endpoint),
    prefix: String(place),
  });
  const open = (more: GcsOptions = {}) => gcs(config(), { retryPolicy: quick, ...more });
  const openFor = (fault: Fault) => open(fault.kind === "stall" ? { stallMs: 700 } : {});
  const lineOf = (request: IncomingMessage) =>
    [request.method, request.url, request.headers["content-range"]].filter(Boolean).join(" ");
  const times = (count: number, matches: RegExp, fault: Fault) => {
    proxy.plan = (request) => (proxy.hits < count && matches.test(lineOf(request)) ? fault : undefined);
  };
  const expectGoodPut = async (sizeBytes: number, storage = open()) => {
    const data = randomData(sizeBytes);
    let reported = 0;
    const onBytes = (bytes: number) => {
      reported += bytes;
    };
    await storage.put("k", oddChunks(data.bytes), { ...options, onBytes });
    expect(reported).toBe(sizeBytes);
    expect(sha256(await collect(await storage.get("k", options)))).toBe(data.sha256);
    expect(openSessions(service)).toEqual([]);
  };
  const putRandom = (sizeBytes: number, storage = open()) =>
    storage.put("k", oddChunks(randomData(sizeBytes).bytes), options);

  it.each(
    Object.entries(steps)
      // A beginning whose answer was lost leaves a session that nobody knows: Google forgets it after a week.
      .flatMap(([step, { matches, sizeBytes, cutAfter }]) =>
        (
          [
            ["is cut", { kind: "cut", afterBytes: cutAfter }],
            ["stalls", { kind: "stall" }],
            ["is answered 503", { kind: "answer", status: 503, body: "" }],
            ["is answered with a page", page],
            ...(step === "the beginning" ? [] : [["loses its answer", { kind: "lose-answer" }]]),
          ] as [string, Fault][]
        ).map(([words, fault]) => [step, words, matches, sizeBytes, fault] as const),
      ),
  )("when %s %s, twice, it goes on", async (_step, _words, matches, sizeBytes, fault) => {
    times(2, matches, fault);
    await expectGoodPut(sizeBytes, openFor(fault));
    expect(proxy.hits).toBeGreaterThan(0);
  });

  it.each(
    Object.entries(steps).flatMap(([step, { matches, sizeBytes, cutAfter }]) =>
      (
        [
          ["is cut", { kind: "cut", afterBytes: cutAfter }, "unreachable"],
          ["is answered 403", { kind: "answer", status: 403, body: "" }, "denied"],
        ] as [string, Fault, string][]
      ).map(([words, fault, kind]) => [step, words, matches, sizeBytes, fault, kind] as const),
    ),
  )(
    "when %s %s every time, the put fails in words and leaves nothing",
    async (step, _w, matches, size, fault, kind) => {
      await open().put("k", oddChunks(Buffer.from("old")), options);
      // What is stored of a cut piece is not sent again, so that one gets through in the end.
      const isMovingOn =
        fault.kind === "cut" && ["a piece", "the last piece", "a single piece"].includes(step);
      times(99, matches, isMovingOn ? { kind: "cut", afterBytes: 1000 } : fault);
      await expect(putRandom(size)).rejects.toMatchObject({ name: "StorageError", kind });
      proxy.plan = () => undefined;
      expect(String(await collect(await open().get("k", options)))).toBe("old");
      expect(openSessions(service)).toEqual([]);
    },
  );

  it("takes back an object whose last answers were all lost", async () => {
    times(99, /^PUT .*bytes (\d+-\d+|\*)\/(\d+|\*)$/, { kind: "lose-answer" });
    await expect(putRandom(1 * MiB)).rejects.toMatchObject({ kind: "unreachable" });
    proxy.plan = () => undefined;
    // Not even the cleaning up got an answer, so here it could not be known.
    await open().delete("k", options);
    let lost = 0;
    proxy.plan = (request) =>
      /^PUT/.test(lineOf(request)) && lost++ < 3 ? { kind: "lose-answer" } : undefined;
    await expect(putRandom(1 * MiB)).rejects.toMatchObject({ kind: "unreachable" });
    proxy.plan = () => undefined;
    expect(await open().stat("k", options)).toBeNull();
  });

  it("is refused by the server when a bit arrived wrong, and nothing appears", async () => {
    await open().put("k", oddChunks(Buffer.from("old")), options);
    for (const matches of [steps["a piece"].matches, steps["the last piece"].matches]) {
      proxy.hits = 0;
      times(1, matches, { kind: "flip" });
      await expect(putRandom(20 * MiB)).rejects.toMatchObject({ kind: "corrupt" });
      expect(String(await collect(await open().get("k", options)))).toBe("old");
    }
    expect(openSessions(service)).toEqual([]);
  });

  it("sends on from where a busy server is", async () => {
    service.storesAtOnceBytes = 1 * MiB;
    await expectGoodPut(20 * MiB + 12_345);
  });

  it("goes on with a get that was cut, when it is retried", async () => {
    const data = randomData(6 * MiB);
    const storage = retrying(open(), quick);
    await storage.put("k", oddChunks(data.bytes), options);
    times(3, /alt=media/, { kind: "cut-answer", afterBytes: 1 * MiB });
    expect(sha256(await collect(await storage.get("k", options)))).toBe(data.sha256);
    expect(proxy.hits).toBe(3);
  });

  it("keeps to a bandwidth limit", async () => {
    const startedMs = performance.now();
    await expectGoodPut(1 * MiB, open({ bucket: tokenBucket(1 * MiB) }));
    expect(performance.now() - startedMs).toBeGreaterThan(1700);
  });

  it("uses one token for many calls, and another one when it ends or is taken back", async () => {
    const before = service.tokensGiven;
    const storage = open();
    await Promise.all(Array.from({ length: 8 }, () => storage.stat("k", options)));
    await expectGoodPut(1 * MiB, storage);
    expect(service.tokensGiven - before).toBe(1);
    service.revokeTokens();
    await expectGoodPut(1 * MiB, storage);
    expect(service.tokensGiven - before).toBe(2);
    service.tokenSeconds = 60;
    const short = open();
    await short.stat("k", options);
    await short.stat("k", options);
    expect(service.tokensGiven - before, "one that ends within two minutes is not used twice").toBe(4);
  });

  it("signs by the server's clock when its own is hours off", async () => {
    for (const hours of [-7, 9]) {
      service.clock = () => Date.now() + hours * 3_600_000;
      await expectGoodPut(1 * MiB);
    }
  });

  it("says what is wrong with key, bucket and quota, without the key", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const foreign = String(privateKey.export({ type: "pkcs8", format: "pem" }));
    const wrong = JSON.stringify({ ...JSON.parse(config().serviceAccountKey), private_key: foreign });
    const error = await gcs({ ...config(), serviceAccountKey: wrong })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({
      kind: "denied",
      permanent: true,
      message: expect.stringContaining("Signature"),
    });
    expect(error.message).not.toContain(foreign.split("\n")[1]);
    for (const text of ["", "{}", "not json", '{"client_email":"a","private_key":"planted"}']) {
      const bad = () => gcs({ ...config(), serviceAccountKey: text });
      expect(bad).toThrow(expect.objectContaining({ kind: "invalid" }));
      expect(bad).not.toThrow(/planted/);
    }
    await expect(gcs({ ...config(), bucket: "no-such" }).check(options)).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("bucket does not exist"),
    });
    service.quotaBytes = 1000;
    await expect(putRandom(20 * MiB)).rejects.toMatchObject({ kind: "full", permanent: true });
    expect(openSessions(service)).toEqual([]);
  });

  it("takes no page for an object, a size or a list", async () => {
    times(99, /^GET/, page);
    const words = { kind: "failed", message: expect.stringMatching(/is there a proxy in between/) };
    await expect(open().stat("k", options)).rejects.toMatchObject(words);
    await expect(keysOf(open().list("", options))).rejects.toMatchObject(words);
  });

  it("is opened by the settings that the master sends", async () => {
    const storage = await openStorage("gcs", config());
    await storage.check(options);
    await expect(openStorage("gcs", { ...config(), serviceAccountKey: "" })).rejects.toMatchObject({
      kind: "invalid",
    });
    await expect(openStorage("gcs", { ...config(), bucket: "a/b" })).rejects.toMatchObject({
      kind: "invalid",
    });
  });
});
