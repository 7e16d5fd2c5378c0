import { createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type AzureOptions, azure } from "../../agent-cli/storage/azure.ts";
import type { AzureConfig } from "../../agent-cli/storage/azure-request.ts";
import { tokenBucket } from "../../agent-cli/storage/limited.ts";
import { retrying } from "../../agent-cli/storage/retrying.ts";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { describeWith } from "../needs.ts";
import { storageConformance } from "./conformance.ts";
import { azuriteAccount, type Server, startAzurite } from "./servers.ts";
import { collect, keysOf, MiB, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };

describeWith(["azurite-blob"], "azure on Azurite", () => {
  storageConformance(
    "azure on Azurite",
    async () => {
      const { endpoint, close } = await startAzurite();
      return {
        storage: azure({ ...azuriteAccount, endpoint, prefix: "/some where/" }),
        // Blocks that no list names cannot be taken away; they are never seen.
        leftovers: async () => [],
        close,
      };
    },
    { canList: true, canDelete: true, maxReadAheadBytes: 41 * MiB, manyKeys: 200, knowsFirstByte: true },
  );
});

/** Each request of a put, by what its method and query say. */
const steps = {
  "the single put": { matches: /^PUT [^?]*$/, sizeBytes: 1 * MiB, cutAfter: 300_000 },
  "a block": { matches: /^PUT .*comp=block&/, sizeBytes: 20 * MiB, cutAfter: 5 * MiB },
  "the list of blocks": { matches: /^PUT .*comp=blocklist/, sizeBytes: 20 * MiB, cutAfter: 10 },
  "the proof of size": { matches: /^HEAD/, sizeBytes: 1 * MiB, cutAfter: 0 },
};
const page: Fault = { kind: "answer", status: 200, headers: { "content-type": "text/html" }, body: "<html>" };

/** A shared access signature for Azurite's container, as a person makes one in Azure's portal. */
function containerSas(permissions: string): string {
  const { account, accountKey, container } = azuriteAccount;
  const until = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, "");
  const version = "2020-10-02";
  const place = `/blob/${account}/${container}`;
  const signed = [permissions, "", until, place, "", "", "", version, "c", "", "", "", "", "", ""].join("\n");
  const sig = createHmac("sha256", Buffer.from(accountKey, "base64")).update(signed).digest("base64");
  return String(new URLSearchParams({ sp: permissions, se: until, sv: version, sr: "c", sig }));
}

describeWith(["azurite-blob"], "azure: faults", () => {
  let server: Server & { endpoint: string };
  let proxy: FaultyProxy;
  let place = 0;
  beforeAll(async () => {
    server = await startAzurite();
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
  const open = (config: Partial<AzureConfig> = {}, more: AzureOptions = {}) => {
    const endpoint = `${proxy.endpoint}/${azuriteAccount.account}`;
    const all = { ...azuriteAccount, endpoint, prefix: String(place), ...config };
    return azure(all, { retryPolicy: quick, ...more });
  };
  const openFor = (fault: Fault) => open({}, fault.kind === "stall" ? { stallMs: 700 } : {});
  const lineOf = (request: IncomingMessage) => `${request.method} ${request.url}`;
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
  };
  const putRandom = (sizeBytes: number, storage = open()) =>
    storage.put("k", oddChunks(randomData(sizeBytes).bytes), options);

  it.each(
    Object.entries(steps).flatMap(([step, { matches, sizeBytes, cutAfter }]) =>
      (
        [
          ["is cut", { kind: "cut", afterBytes: cutAfter }],
          ["loses its answer", { kind: "lose-answer" }],
          ["stalls", { kind: "stall" }],
          ["is answered 500", { kind: "answer", status: 500, body: "" }],
          ["is answered with a page", page],
        ] as [string, Fault][]
      ).map(([words, fault]) => [step, words, matches, sizeBytes, fault] as const),
    ),
  )("when %s %s, twice, it is repeated", async (_step, _words, matches, sizeBytes, fault) => {
    times(2, matches, fault);
    await expectGoodPut(sizeBytes, openFor(fault));
    expect(proxy.hits).toBe(2);
  });

  it.each(
    Object.entries(steps).flatMap(([step, { matches, sizeBytes, cutAfter }]) =>
      (
        [
          ["is cut", { kind: "cut", afterBytes: cutAfter }, "unreachable"],
          ["is answered 403", { kind: "answer", status: 403, body: "" }, "denied"],
          ["is answered with a page", page, "failed"],
        ] as [string, Fault, string][]
      ).map(([words, fault, kind]) => [step, words, matches, sizeBytes, fault, kind] as const),
    ),
  )(
    "when %s %s every time, the put fails in words and leaves nothing",
    async (step, _words, matches, sizeBytes, fault, kind) => {
      times(99, matches, fault);
      await expect(putRandom(sizeBytes)).rejects.toMatchObject({ name: "StorageError", kind });
      proxy.plan = () => undefined;
      // Without a single answer about what is there, it cannot be known to be ours.
      if (step !== "the proof of size") expect(await open().stat("k", options)).toBeNull();
    },
  );

  it("takes back an object whose answers were all lost, and keeps one that was not replaced", async () => {
    for (const [matches, sizeBytes] of [
      [/^PUT [^?]*$/, 1000],
      [/comp=blocklist/, 20 * MiB],
    ] as const) {
      times(99, matches, { kind: "lose-answer" });
      await expect(putRandom(sizeBytes)).rejects.toMatchObject({ kind: "unreachable" });
      proxy.plan = () => undefined;
      expect(await open().stat("k", options)).toBeNull();
      await open().put("k", oddChunks(Buffer.from("old")), options);
      times(99, matches, { kind: "cut", afterBytes: 0 });
      await expect(putRandom(sizeBytes)).rejects.toMatchObject({ kind: "unreachable" });
      proxy.plan = () => undefined;
      expect(String(await collect(await open().get("k", options)))).toBe("old");
      await open().delete("k", options);
    }
  });

  it("sends again what arrived with a wrong bit", async () => {
    times(2, /comp=block&/, { kind: "flip" });
    await expectGoodPut(20 * MiB);
    expect(proxy.hits).toBe(2);
  });

  it("goes on with a get that was cut, when it is retried", async () => {
    const data = randomData(6 * MiB);
    const storage = retrying(open(), quick);
    await storage.put("k", oddChunks(data.bytes), options);
    times(3, /^GET/, { kind: "cut-answer", afterBytes: 1 * MiB });
    expect(sha256(await collect(await storage.get("k", options)))).toBe(data.sha256);
    expect(proxy.hits).toBe(3);
  });

  it("keeps to a bandwidth limit", async () => {
    const startedMs = performance.now();
    await expectGoodPut(1 * MiB, open({}, { bucket: tokenBucket(1 * MiB) }));
    expect(performance.now() - startedMs).toBeGreaterThan(1700);
  });

  it("says what is wrong with key and container, without the key", async () => {
    const accountKey = Buffer.from("planted").toString("base64");
    const error = await open({ accountKey })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: "denied", message: expect.stringContaining("answered 403") });
    expect(error.message).not.toContain(accountKey);
    await expect(open({ container: "no-such" }).check(options)).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("ContainerNotFound"),
    });
  });

  it("needs no key where it has a signature for the container", async () => {
    const sasToken = containerSas("racwdl");
    const storage = open({ accountKey: "", sasToken: `?${sasToken}` });
    await expectGoodPut(10 * MiB, storage);
    expect(await keysOf(storage.list("", options))).toEqual(["k"]);
    await storage.check(options);
    const readOnly = containerSas("rl");
    const error = await open({ accountKey: "", sasToken: readOnly })
      .check(options)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: "denied" });
    expect(error.message).not.toContain(new URLSearchParams(readOnly).get("sig"));
  });

  it("takes no page for an object, a size or a list", async () => {
    times(99, /./, page);
    const words = { kind: "failed", message: expect.stringMatching(/is this address one of its accounts/) };
    await expect(open().stat("k", options)).rejects.toMatchObject(words);
    await expect(keysOf(open().list("", options))).rejects.toMatchObject(words);
  });
});
