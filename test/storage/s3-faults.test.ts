import type { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { limited, tokenBucket } from "../../agent-cli/storage/limited.ts";
import { retrying } from "../../agent-cli/storage/retrying.ts";
import { type S3Options, s3 } from "../../agent-cli/storage/s3.ts";
import { partSizesFor } from "../../agent-cli/storage/s3-parts.ts";
import type { S3Config } from "../../agent-cli/storage/s3-request.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { bucket, credentials, region, type StrictS3, startStrictS3 } from "../fakes/strict-s3.ts";
import { collect, keysOf, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const page: Fault = {
  kind: "answer",
  status: 200,
  headers: { "content-type": "text/html", etag: '"page"' },
  body: "<!doctype html><html><body>Please log in</body></html>",
};

/** Each request of a put, by what its method and query say. */
const steps = {
  "the single put": { matches: /^PUT [^?]*$/, sizeBytes: 1 * MiB, cutAfter: 300_000 },
  "the begin of an upload": { matches: /^POST .*uploads=/, sizeBytes: 20 * MiB, cutAfter: 0 },
  "a part": { matches: /^PUT .*partNumber=2/, sizeBytes: 20 * MiB, cutAfter: 5 * MiB },
  "the last part": { matches: /^PUT .*partNumber=3/, sizeBytes: 20 * MiB, cutAfter: 1 },
  "the completion": { matches: /^POST .*uploadId=/, sizeBytes: 20 * MiB, cutAfter: 10 },
  "the proof of size": { matches: /^HEAD/, sizeBytes: 1 * MiB, cutAfter: 0 },
};

let server: StrictS3;
let proxy: FaultyProxy;
beforeAll(async () => {
  server = await startStrictS3();
  proxy = await startFaultyProxy(server.port);
});
afterAll(async () => {
  await proxy.close();
  await server.close();
});
beforeEach(() => {
  server.objects.clear();
  server.uploads.clear();
  server.calls.length = 0;
  server.quotaBytes = Number.POSITIVE_INFINITY;
  server.clock = Date.now;
  proxy.plan = () => undefined;
  proxy.hits = 0;
});

const open = (config: Partial<S3Config> = {}, more: S3Options = {}) =>
  s3(
    { endpoint: proxy.endpoint, region, bucket, ...credentials, ...config },
    { retryPolicy: quick, stallMs: 10_000, ...more },
  );
/** Finds every host on this machine. By the agent's own undici: another package brings another version to the top. */
function atThisMachine() {
  const lookup = (_name: string, _options: unknown, done: (error: null, found: object[]) => void) =>
    done(null, [{ address: "127.0.0.1", family: 4 }]);
  const { Agent } = createRequire(new URL("../../agent-cli/storage/s3.ts", import.meta.url))("undici");
  return new Agent({ connect: { lookup } });
}
/** Short where a stall is waited for, long elsewhere: a busy machine must not look like one. */
const stalling = { stallMs: 400 };
const openFor = (fault: Fault) => open({}, fault.kind === "stall" ? stalling : {});
const lineOf = (request: IncomingMessage) => `${request.method} ${request.url}`;
const always = (matches: RegExp, fault: Fault) => {
  proxy.plan = (request) => (matches.test(lineOf(request)) ? fault : undefined);
};
const times = (count: number, matches: RegExp, fault: Fault) => {
  proxy.plan = (request) => (proxy.hits < count && matches.test(lineOf(request)) ? fault : undefined);
};
const expectNothingLeft = () => {
  expect([...server.objects.keys()]).toEqual([]);
  expect([...server.uploads.keys()]).toEqual([]);
};
/** Puts random bytes and expects them whole on the server, counted once. */
async function expectGoodPut(sizeBytes: number, storage = open()) {
  const data = randomData(sizeBytes);
  let reported = 0;
  const onBytes = (bytes: number) => {
    reported += bytes;
  };
  await storage.put("k", oddChunks(data.bytes), { ...options, onBytes });
  expect(sha256(server.objects.get("k")?.bytes ?? Buffer.alloc(0))).toBe(data.sha256);
  expect(reported).toBe(sizeBytes);
  expect([...server.uploads.keys()]).toEqual([]);
}
const putRandom = (sizeBytes: number, storage = open()) =>
  storage.put("k", oddChunks(randomData(sizeBytes).bytes), options);

describe.each(Object.entries(steps))("s3: when %s", (_name, { matches, sizeBytes, cutAfter }) => {
  it.each<[string, Fault]>([
    ["is cut", { kind: "cut", afterBytes: cutAfter }],
    ["loses its answer", { kind: "lose-answer" }],
    ["stalls", { kind: "stall" }],
    ["is answered 500", { kind: "answer", status: 500, body: "" }],
    ["is answered 503", { kind: "answer", status: 503, body: "<Error><Code>SlowDown</Code></Error>" }],
    ["is answered with a page", page],
  ])("%s, once or twice, it is repeated", async (_fault, fault) => {
    times(1, matches, fault);
    await expectGoodPut(sizeBytes, openFor(fault));
    expect(proxy.hits).toBe(1);
    server.objects.clear();
    proxy.hits = 0;
    times(2, matches, fault);
    await expectGoodPut(sizeBytes, openFor(fault));
    expect(proxy.hits).toBe(2);
  });

  it.each<[string, Fault, RegExp, string]>([
    ["is cut", { kind: "cut", afterBytes: cutAfter }, /the connection was cut/, "unreachable"],
    ["stalls", { kind: "stall" }, /no data moved for (0\.4|1\.2) s/, "unreachable"],
    ["is answered 500", { kind: "answer", status: 500, body: "" }, /answered 500/, "unreachable"],
    ["is answered with a page", page, /is this address an S3 service/, "failed"],
  ])("%s every time, the put fails in words and leaves nothing", async (_fault, fault, words, kind) => {
    always(matches, fault);
    await expect(putRandom(sizeBytes, openFor(fault))).rejects.toMatchObject({
      name: "StorageError",
      kind,
      permanent: false,
      message: expect.stringMatching(words),
    });
    expect(proxy.hits).toBeGreaterThanOrEqual(quick.attempts);
    if (!String(matches).includes("HEAD")) expectNothingLeft();
    expect([...server.uploads.keys()]).toEqual([]);
  });
});

describe("s3: a put whose answers are all lost", () => {
  it("takes back a small object that landed", async () => {
    always(/^PUT/, { kind: "lose-answer" });
    await expect(putRandom(1000)).rejects.toMatchObject({ kind: "unreachable" });
    expectNothingLeft();
  });

  it("takes back an object in parts that landed", async () => {
    always(/^POST .*uploadId=/, { kind: "lose-answer" });
    await expect(putRandom(20 * MiB)).rejects.toMatchObject({ kind: "unreachable" });
    expectNothingLeft();
  });

  it("keeps the old object when the new one did not land", async () => {
    await open().put("k", oddChunks(Buffer.from("old")), options);
    for (const sizeBytes of [3, 20 * MiB]) {
      always(/^PUT|^POST .*uploadId=/, { kind: "cut", afterBytes: 0 });
      await expect(putRandom(sizeBytes)).rejects.toMatchObject({ kind: "unreachable" });
      expect(String(server.objects.get("k")?.bytes)).toBe("old");
      expect(server.uploads.size).toBe(0);
    }
  });
});

describe("s3: uploads", () => {
  it("sends again what arrived with a wrong bit", async () => {
    times(2, /^PUT .*partNumber=/, { kind: "flip" });
    await expectGoodPut(20 * MiB);
    expect(proxy.hits).toBe(2);
  });

  it("does not take a success with an error inside for one", async () => {
    const body =
      '<?xml version="1.0"?>\n\n<Error><Code>InternalError</Code><Message>try later</Message></Error>';
    always(/^POST .*uploadId=/, { kind: "answer", status: 200, body });
    await expect(putRandom(9 * MiB)).rejects.toMatchObject({
      message: expect.stringMatching(/InternalError: try later/),
    });
    expectNothingLeft();
  });

  it("notices that the server holds another length than was sent", async () => {
    always(/^HEAD/, {
      kind: "answer",
      status: 200,
      headers: { etag: '"x"', "content-length": "7" },
      body: "",
    });
    for (const sizeBytes of [1000, 9 * MiB]) {
      await expect(putRandom(sizeBytes)).rejects.toMatchObject({ kind: "corrupt", permanent: true });
      expectNothingLeft();
    }
  });

  it("goes on over a slow line, as long as it moves", async () => {
    always(/^PUT/, { kind: "slow", bytesPerSecond: 3 * MiB });
    const startedMs = performance.now();
    await expectGoodPut(9 * MiB, open({}, { stallMs: 1000 }));
    expect(performance.now() - startedMs).toBeGreaterThan(2000);
  });

  it("keeps at most four parts in flight", async () => {
    server.maxAtOnce = 0;
    await expectGoodPut(90 * MiB);
    expect(server.maxAtOnce).toBeLessThanOrEqual(4);
    expect(server.maxAtOnce).toBeGreaterThan(1);
  });

  it("grows its parts, and refuses what 10,000 of them cannot hold", () => {
    const sizeOf = partSizesFor(proxy.endpoint);
    expect([1, 1000, 1001, 2000, 2001, 10_000].map((number) => sizeOf(number) / MiB)).toEqual([
      6, 6, 16, 16, 64, 64,
    ]);
    expect(() => sizeOf(10_001)).toThrow(/521 GiB/);
  });

  it("sends to Cloudflare's R2 parts of one size, because it joins no others", async () => {
    const endpoint = `http://0123456789abcdef.eu.r2.cloudflarestorage.com:${server.port}`;
    const sizeOf = partSizesFor(endpoint);
    expect(new Set([1, 1000, 1001, 2001, 10_000].map(sizeOf))).toEqual(new Set([32 * MiB]));
    expect(() => sizeOf(10_001)).toThrow(/312 GiB/);
    const dispatcher = atThisMachine();
    const parts: number[] = [];
    const onBytes = (bytes: number) => parts.push(bytes / MiB);
    const data = randomData(70 * MiB);
    const storage = open({ endpoint }, { dispatcher });
    await storage.put("k", oddChunks(data.bytes), { ...options, onBytes });
    expect(parts).toEqual([32, 32, 6]);
    expect(sha256(server.objects.get("k")?.bytes ?? Buffer.alloc(0))).toBe(data.sha256);
    await dispatcher.close();
  });

  it("stops soon when it is aborted before a server that hangs", async () => {
    always(/^PUT/, { kind: "stall" });
    const controller = new AbortController();
    const reason = new Error("cancelled by a person");
    setTimeout(() => controller.abort(reason), 100);
    const startedMs = performance.now();
    const putting = open({}, { stallMs: 30_000 }).put("k", oddChunks(randomData(20 * MiB).bytes), {
      signal: controller.signal,
    });
    await expect(putting).rejects.toBe(reason);
    expect(performance.now() - startedMs).toBeLessThan(3000);
    expectNothingLeft();
  });

  it("closes its source when a part fails for good", async () => {
    let isClosed = false;
    const chunk = randomData(1 * MiB).bytes;
    const source = (async function* () {
      try {
        for (;;) yield chunk;
      } finally {
        isClosed = true;
      }
    })();
    server.quotaBytes = 20 * MiB;
    await expect(open().put("k", source, options)).rejects.toMatchObject({ kind: "full", permanent: true });
    expect(isClosed).toBe(true);
    expectNothingLeft();
  });

  it("keeps to a bandwidth limit at the socket, and does not take the waiting for a stall", async () => {
    const startedMs = performance.now();
    await expectGoodPut(2 * MiB, open({}, { bucket: tokenBucket(1 * MiB), stallMs: 300 }));
    const seconds = (performance.now() - startedMs) / 1000;
    expect(seconds).toBeGreaterThan(1.7);
    expect(seconds).toBeLessThan(3);
  });

  it("works though the clock is hours off", async () => {
    server.clock = () => Date.now() + 5 * 3_600_000;
    await expectGoodPut(9 * MiB);
    server.clock = () => Date.now() - 9 * 3_600_000;
    await expectGoodPut(1000);
  });

  it("speaks to buckets that are host names, and below a path prefix", async () => {
    const dispatcher = atThisMachine();
    const endpoint = `http://s3.example:${server.port}`;
    const storage = open({ endpoint, pathStyle: false, prefix: "/a b/c+d/" }, { dispatcher });
    await storage.check(options);
    await storage.put("x y", oddChunks(randomData(9 * MiB).bytes), options);
    expect([...server.objects.keys()]).toEqual(["a b/c+d/x y"]);
    expect(await keysOf(storage.list("", options))).toEqual(["x y"]);
    await dispatcher.close();
  });

  it("gives up unfinished uploads of a key when the key is deleted, and no others", async () => {
    const storage = open();
    server.uploads.set("left", { key: "k", contentType: "", parts: new Map() });
    server.uploads.set("other", { key: "k2", contentType: "", parts: new Map() });
    await storage.delete("k", options);
    expect([...server.uploads.keys()]).toEqual(["other"]);
    always(/uploads=/, { kind: "answer", status: 501, body: "" });
    await expect(storage.delete("k", options)).resolves.toBeUndefined();
  });
});

describe("s3: reading", () => {
  const data = randomData(6 * MiB);
  beforeEach(async () => {
    await open().put("k", oddChunks(data.bytes), options);
  });

  it.each([0, 1, 3 * MiB, 6 * MiB - 1])("throws when the answer ends after %i bytes", async (afterBytes) => {
    always(/^GET/, { kind: "cut-answer", afterBytes });
    await expect(async () => collect(await open().get("k", options))).rejects.toMatchObject({
      kind: "unreachable",
      message: expect.stringMatching(/the connection was cut/),
    });
  });

  it("goes on where it broke, when it is retried", async () => {
    times(3, /^GET/, { kind: "cut-answer", afterBytes: 1 * MiB });
    expect(sha256(await collect(await retrying(open(), quick).get("k", options)))).toBe(data.sha256);
    expect(proxy.hits).toBe(3);
    times(6, /^GET/, { kind: "cut-answer", afterBytes: 100_000 });
    const range = { offset: 1000, length: 5 * MiB };
    const part = await collect(await retrying(open(), quick).get("k", { ...options, range }));
    expect(part.equals(data.bytes.subarray(1000, 1000 + 5 * MiB))).toBe(true);
    expect(proxy.hits).toBe(6);
  });

  it("fails in the end when it never gets on", async () => {
    times(99, /^GET/, { kind: "cut-answer", afterBytes: 0 });
    await expect(async () => collect(await retrying(open(), quick).get("k", options))).rejects.toMatchObject({
      kind: "unreachable",
    });
  });

  it("throws when the answer stalls, but not when the reader does", async () => {
    always(/^GET/, { kind: "stall-answer", afterBytes: 1 * MiB });
    await expect(async () => collect(await open({}, stalling).get("k", options))).rejects.toThrow(
      /no data moved/,
    );
    proxy.plan = () => undefined;
    let seenBytes = 0;
    for await (const chunk of await open({}, stalling).get("k", options)) {
      if (seenBytes === 0) await new Promise((resolve) => setTimeout(resolve, 900));
      seenBytes += chunk.length;
    }
    expect(seenBytes).toBe(6 * MiB);
  });

  it("takes no page for an object, a size or a list", async () => {
    always(/./, page);
    const words = { kind: "failed", message: expect.stringMatching(/is this address an S3 service/) };
    await expect(open().get("k", options)).rejects.toMatchObject(words);
    await expect(open().stat("k", options)).rejects.toMatchObject(words);
    await expect(keysOf(open().list("", options))).rejects.toMatchObject(words);
    await expect(open().check(options)).rejects.toMatchObject(words);
  });

  it("lets nobody lead it in circles with a list", async () => {
    const body =
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
    always(/list-type/, {
      kind: "answer",
      status: 200,
      headers: { "content-type": "application/xml" },
      body,
    });
    await expect(keysOf(open().list("", options))).rejects.toThrow(/not where/);
  });

  it("repeats a list that broke without repeating its entries", async () => {
    for (let index = 0; index < 1050; index += 1) {
      server.objects.set(`many/${index}`, {
        bytes: Buffer.alloc(1),
        etag: "e",
        contentType: "",
        storedAt: 0,
      });
    }
    times(1, /continuation-token/, { kind: "answer", status: 500, body: "" });
    const keys = await keysOf(retrying(open(), quick).list("many/", options));
    expect(proxy.hits).toBe(1);
    expect(keys.length).toBe(1050);
    expect(new Set(keys).size).toBe(1050);
  });
});

describe("s3: errors in words", () => {
  it.each<[number, string, string, boolean]>([
    [403, "AccessDenied", "denied", true],
    [401, "Unauthorized", "denied", true],
    [404, "NoSuchBucket", "invalid", true],
    [507, "InsufficientStorage", "full", true],
    [403, "QuotaExceeded", "full", true],
    [400, "InvalidRequest", "invalid", true],
    [301, "PermanentRedirect", "invalid", true],
    [400, "RequestTimeout", "unreachable", false],
    [429, "TooManyRequests", "unreachable", false],
  ])("%i %s is %s", async (status, code, kind, permanent) => {
    const echoed = `${credentials.secretAccessKey} ${credentials.accessKeyId}`;
    const body = `<Error><Code>${code}</Code><Message>the server's words &amp; ${echoed}</Message></Error>`;
    const headers = { location: "http://127.0.0.1:1/elsewhere" };
    always(/./, { kind: "answer", status, headers, body });
    const error = await putRandom(10).catch((thrown) => thrown);
    expect(error).toMatchObject({
      kind,
      permanent,
      message: expect.stringContaining(`${code}: the server's words & ***`),
    });
    expect(error.message).not.toContain(credentials.secretAccessKey);
    expect(error.message).not.toContain(credentials.accessKeyId);
  });

  it("says that keys are wrong, without naming them", async () => {
    const error = await open({ secretAccessKey: "wrong-secret" })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({
      kind: "denied",
      message: expect.stringContaining("SignatureDoesNotMatch"),
    });
    expect(error.message).not.toContain("wrong-secret");
  });

  it("says that nobody listens, and that a name does not exist", async () => {
    await expect(open({ endpoint: "http://127.0.0.1:1" }).stat("k", options)).rejects.toMatchObject({
      kind: "unreachable",
      message: "HEAD 127.0.0.1:1: the connection was refused",
    });
    await expect(open({ endpoint: "http://no.such.host.invalid" }).stat("k", options)).rejects.toMatchObject({
      kind: "unreachable",
    });
  });
});

it("limited: keeps puts and gets of all storages together below one rate", async () => {
  const shared = tokenBucket(2 * MiB);
  const one = limited(open(), shared);
  const other = limited(open(), shared);
  const { bytes } = randomData(1 * MiB);
  const startedMs = performance.now();
  await Promise.all([one.put("a", oddChunks(bytes), options), other.put("b", oddChunks(bytes), options)]);
  expect(performance.now() - startedMs).toBeGreaterThan(850);
  expect(sha256(await collect(await one.get("a", options)))).toBe(sha256(bytes));
  expect(performance.now() - startedMs).toBeGreaterThan(1350);
});
