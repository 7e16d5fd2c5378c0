import { expect, it } from "vitest";
import { StorageError } from "../../agent-cli/storage/storage.ts";
import { vault } from "../../agent-cli/storage/vault.ts";
import { memoryVault } from "../fakes/memory-vault.ts";
import { collect, MiB, never, oddChunks, randomData, sha256 } from "./streams.ts";

const options = { signal: new AbortController().signal };
const quick = { attempts: 3, baseMs: 2, maxMs: 10 };
const broken = () => new StorageError("unreachable", "the connection was cut");

function open(more: { partTimeoutMs?: number; stallMs?: number } = {}) {
  const fake = memoryVault(5 * MiB);
  return { fake, storage: vault(fake.client, { retryPolicy: quick, ...more }) };
}

it("vault: repeats a part alone, and counts it once", async () => {
  const { fake, storage } = open();
  const seen: number[] = [];
  fake.onPart = (number) => {
    seen.push(number);
    if (number === 2 && seen.filter((other) => other === 2).length < 3) throw broken();
  };
  const data = randomData(23 * MiB);
  let reported = 0;
  const onBytes = (bytes: number) => {
    reported += bytes;
  };
  await storage.put("k", oddChunks(data.bytes), { ...options, onBytes });
  expect(sha256(fake.objects.get("k") ?? Buffer.alloc(0))).toBe(data.sha256);
  expect(seen.sort()).toEqual([1, 2, 2, 2, 3, 4, 5]);
  expect(reported).toBe(23 * MiB);
});

it.each([
  ["every time", broken, "unreachable", 3],
  ["for good", () => new StorageError("denied", "this record is closed"), "denied", 1],
  ["with an error of the client's own", () => new TypeError("odd"), "failed", 3],
])("vault: a part that fails %s fails the put and leaves nothing", async (_how, makeError, kind, tries) => {
  const { fake, storage } = open();
  let count = 0;
  fake.onPart = (number) => {
    if (number !== 3) return;
    count += 1;
    throw makeError();
  };
  await expect(storage.put("k", oddChunks(randomData(23 * MiB).bytes), options)).rejects.toMatchObject({
    kind,
  });
  expect(count).toBe(tries);
  expect(fake.uploads.size).toBe(0);
  expect(fake.objects.size).toBe(0);
});

it("vault: a part that hangs is given up and repeated", async () => {
  const { fake, storage } = open({ partTimeoutMs: 100 });
  const honest = fake.client.part;
  let hangs = 1;
  fake.client.part = async (upload, number, bytes, hash, signal) => {
    if (hangs-- > 0)
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("x"))));
    return honest(upload, number, bytes, hash, signal);
  };
  await storage.put("k", oddChunks(randomData(11 * MiB).bytes), options);
  expect(fake.objects.get("k")?.length).toBe(11 * MiB);
});

it("vault: keeps two parts in flight", async () => {
  const { fake, storage } = open();
  fake.onPart = () => new Promise((resolve) => setTimeout(resolve, 10));
  await storage.put("k", oddChunks(randomData(40 * MiB).bytes), options);
  expect(fake.maxAtOnce).toBe(2);
});

it("vault: does not believe a completion of another length", async () => {
  const { fake, storage } = open();
  fake.client.complete = async () => ({ sizeBytes: 1 });
  await expect(storage.put("k", oddChunks(randomData(100).bytes), options)).rejects.toMatchObject({
    kind: "corrupt",
  });
});

it("vault: refuses part sizes that cannot be", async () => {
  for (const size of [0, -1, 1.5, 65 * MiB, Number.NaN]) {
    const fake = memoryVault(size);
    await expect(vault(fake.client).put("k", oddChunks(Buffer.from("x")), options)).rejects.toMatchObject({
      kind: "invalid",
    });
    expect(fake.uploads.size).toBe(0);
  }
});

it("vault: throws when a stream stalls or falls short of its range", async () => {
  const { fake, storage } = open({ stallMs: 100 });
  fake.client.open = async () =>
    (async function* () {
      yield Buffer.from("abc");
      await never();
    })();
  await expect(async () => collect(await storage.get("k", options))).rejects.toThrow(/no data moved/);
  fake.client.open = async () =>
    (async function* () {
      yield Buffer.from("abc");
    })();
  const range = { offset: 0, length: 4 };
  await expect(async () => collect(await storage.get("k", { ...options, range }))).rejects.toThrow(
    /byte 3 of 4/,
  );
});
