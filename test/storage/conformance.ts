import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Storage } from "../../agent-cli/storage/storage.ts";
import { brokenAfter, collect, keysOf, MiB, never, oddChunks, randomData, sha256 } from "./streams.ts";

/** A storage in a fresh place of its own, and a look behind it. */
export type Place = {
  storage: Storage;
  /** What unfinished puts have left behind, in words: uploads, temporary files. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
};

export type Capabilities = {
  /** Storages without these must refuse them with kind "denied". */
  canList: boolean;
  canDelete: boolean;
  /** How far a put may read ahead of what the storage has taken. */
  maxReadAheadBytes: number;
  /** More than one page of a list; left out where that many objects cost too much. */
  manyKeys: number;
  /** False for a server that gives everything when asked for byte 0 alone. */
  knowsFirstByte: boolean;
  /** For a storage whose lists do not say when an object was stored. */
  tellsNoTimes?: boolean;
  /** For a server that keeps names beginning with a dot out of its lists. */
  hidesDotFiles?: boolean;
  /** For a server that takes no asterisk in a directory's name. */
  refusesStars?: boolean;
};

const signal = new AbortController().signal;
const options = { signal };

/** The promises of `Storage`, for every implementation and wrapper of it. */
export function storageConformance(
  name: string,
  make: () => Promise<Place>,
  capabilities: Capabilities,
): void {
  describe(`storage: ${name}`, () => {
    let place: Place;
    let storage: Storage;
    beforeAll(async () => {
      place = await make();
      storage = place.storage;
    });
    afterAll(() => place?.close());
    const newKey = (tail = "object.bin") => `t/${randomUUID()}/${tail}`;
    const put = (key: string, bytes: Uint8Array) => storage.put(key, oddChunks(bytes), options);
    const read = async (key: string, range?: { offset: number; length: number }) =>
      collect(await storage.get(key, range ? { signal, range } : options));

    it("can be used, says its check", () => storage.check(options));

    describe("gives back what was put", () => {
      const sizes = {
        "0 B": 0,
        "1 B": 1,
        "5 MiB - 1": 5 * MiB - 1,
        "8 MiB": 8 * MiB,
        "8 MiB + 1": 8 * MiB + 1,
        "20 MiB": 20 * MiB,
      };
      it.each(Object.entries(sizes))("%s in odd chunks", async (_size, length) => {
        const key = newKey();
        const data = randomData(length);
        let reported = 0;
        const onBytes = (bytes: number) => {
          reported += bytes;
        };
        const stored = await storage.put(key, oddChunks(data.bytes), { signal, onBytes });
        expect(stored).toEqual({ sizeBytes: length });
        expect(reported).toBe(length);
        expect(await storage.stat(key, options)).toEqual({ sizeBytes: length });
        const back = await read(key);
        expect(back.length).toBe(length);
        expect(sha256(back)).toBe(data.sha256);
        expect(await place.leftovers()).toEqual([]);
      });

      it("from memory that is overwritten as soon as the next piece is asked for", async () => {
        const key = newKey();
        const data = randomData(9 * MiB + 1);
        const memory = Buffer.alloc(MiB);
        async function* reusing() {
          for (let from = 0; from < data.bytes.length; from += MiB) {
            const piece = memory.subarray(0, Math.min(MiB, data.bytes.length - from));
            piece.set(data.bytes.subarray(from, from + piece.length));
            yield piece;
            piece.fill(0xee);
          }
        }
        await storage.put(key, reusing(), options);
        expect(sha256(await read(key))).toBe(data.sha256);
      });
    });

    it.each([
      "日本語/ключ/ñandú-😀.tar",
      "with space/ and another .bin",
      "plus+plus/a+b.bin",
      "per%cent/%41%2F%2e%2e/100%.bin",
      "quotes'\"(!*)/semi;colon,at@amp&eq=hash#quest?dollar$tilde~.bin",
      "colon:/<angle>|pipe^caret`back{brace}[bracket].bin",
      "dots.../.hidden/..two/a..b",
    ])("keeps the key %s apart and intact", async (nasty) => {
      const tail = capabilities.refusesStars ? nasty.replaceAll("*", "") : nasty;
      const key = newKey(tail);
      const data = randomData(1000);
      await put(key, data.bytes);
      expect(sha256(await read(key))).toBe(data.sha256);
      expect(await read(key, { offset: 10, length: 20 })).toEqual(data.bytes.subarray(10, 30));
      if (capabilities.canList && !(capabilities.hidesDotFiles && key.includes("/."))) {
        const prefix = key.slice(0, key.indexOf("/", 2) + 1);
        expect(await keysOf(storage.list(prefix, options))).toEqual([key]);
      }
      if (capabilities.canDelete) {
        await storage.delete(key, options);
        expect(await storage.stat(key, options)).toBeNull();
      }
    });

    it("does not confuse a key with its escaped form", async () => {
      const base = newKey("");
      await put(`${base}a b`, Buffer.from("space"));
      await put(`${base}a+b`, Buffer.from("plus"));
      await put(`${base}a%20b`, Buffer.from("escape"));
      expect(String(await read(`${base}a b`))).toBe("space");
      expect(String(await read(`${base}a+b`))).toBe("plus");
      expect(String(await read(`${base}a%20b`))).toBe("escape");
    });

    it.each([
      "",
      "/abs",
      "a//b",
      "../up",
      "a/../../b",
      "a/./b",
      "a/",
      "nul\0",
      "line\nfeed",
      "a\\b",
      "\ud800",
      "x".repeat(231),
      `${"a/".repeat(460)}a`,
      "x.partial-0123456789abcdef",
    ])("refuses the key %j everywhere", async (key) => {
      const refusal = expect.objectContaining({ name: "StorageError", kind: "invalid", permanent: true });
      await expect(async () => storage.put(key, oddChunks(Buffer.from("x")), options)).rejects.toEqual(
        refusal,
      );
      await expect(async () => storage.get(key, options)).rejects.toEqual(refusal);
      await expect(async () => storage.stat(key, options)).rejects.toEqual(refusal);
      if (capabilities.canDelete) {
        await expect(async () => storage.delete(key, options)).rejects.toEqual(refusal);
      }
    });

    it("reads ranges, and refuses those that reach beyond the end", async () => {
      const key = newKey();
      const { bytes } = randomData(9 * MiB);
      await put(key, bytes);
      for (const [offset, length] of [
        capabilities.knowsFirstByte ? [0, 1] : [0, 2],
        [0, bytes.length],
        [8 * MiB - 5, 10],
        [bytes.length - 1, 1],
        [5, 0],
        [123_457, 3_000_001],
      ] as const) {
        const part = await read(key, { offset, length });
        expect(part.equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`).toBe(true);
      }
      for (const [offset, length] of [
        [0, bytes.length + 1],
        [bytes.length, 1],
        [bytes.length - 1, 2],
        [-1, 2],
        [0.5, 1],
      ] as const) {
        await expect(read(key, { offset, length }), `${offset}+${length}`).rejects.toMatchObject({
          kind: "invalid",
        });
      }
    });

    it("replaces an object, shorter by longer and back", async () => {
      const key = newKey();
      for (const length of [100, 9 * MiB, 0, 10]) {
        const data = randomData(length);
        await put(key, data.bytes);
        expect(sha256(await read(key))).toBe(data.sha256);
      }
    });

    it("answers for a missing object", async () => {
      const key = newKey();
      await expect(storage.get(key, options)).rejects.toMatchObject({ kind: "not_found", permanent: true });
      await expect(storage.get(key, { signal, range: { offset: 0, length: 0 } })).rejects.toMatchObject({
        kind: "not_found",
      });
      expect(await storage.stat(key, options)).toBeNull();
      expect(await storage.stat(`${key}/below`, options)).toBeNull();
      if (capabilities.canDelete) await expect(storage.delete(key, options)).resolves.toBeUndefined();
    });

    it("deletes, and says so or refuses", async () => {
      const key = newKey();
      await put(key, Buffer.from("x"));
      if (!capabilities.canDelete) {
        await expect(storage.delete(key, options)).rejects.toMatchObject({ kind: "denied", permanent: true });
        expect(await storage.stat(key, options)).toEqual({ sizeBytes: 1 });
        return;
      }
      await put(`${key}.other`, Buffer.from("y"));
      await storage.delete(key, options);
      expect(await storage.stat(key, options)).toBeNull();
      await expect(storage.get(key, options)).rejects.toMatchObject({ kind: "not_found" });
      expect(await storage.stat(`${key}.other`, options)).toEqual({ sizeBytes: 1 });
      await storage.delete(key, options);
    });

    it("lists by prefix, across pages, or refuses", async () => {
      const base = newKey("");
      if (!capabilities.canList) {
        await expect(keysOf(storage.list(base, options))).rejects.toMatchObject({
          kind: "denied",
          permanent: true,
        });
        return;
      }
      const keys = Array.from(
        { length: capabilities.manyKeys },
        (_, index) => `${base}d${index % 7}/k${index}`,
      ).sort();
      for (let at = 0; at < keys.length; at += 20) {
        await Promise.all(
          keys.slice(at, at + 20).map((key) => storage.put(key, oddChunks(Buffer.from("ab")), options)),
        );
      }
      expect(await keysOf(storage.list(base, options))).toEqual(keys);
      expect(await keysOf(storage.list(`${base}d3/`, options))).toEqual(
        keys.filter((key) => key.includes("/d3/")),
      );
      expect(await keysOf(storage.list(`${base}d3/k1`, options))).toEqual(
        keys.filter((key) => key.includes("/d3/k1")),
      );
      expect(await keysOf(storage.list(`${base}d`, options))).toEqual(keys);
      expect(await keysOf(storage.list(`${base}nothing`, options))).toEqual([]);
      for await (const { sizeBytes, modifiedAt } of storage.list(`${base}d1/`, options)) {
        expect(sizeBytes).toBe(2);
        const ageMs = modifiedAt === null ? null : Math.abs(Date.now() - modifiedAt);
        if (capabilities.tellsNoTimes) expect(ageMs).toBeNull();
        // The server's clock and zone are right, and it is no other unit.
        else expect(ageMs).toBeLessThan(1_800_000);
      }
      await expect(keysOf(storage.list("../", options))).rejects.toMatchObject({ kind: "invalid" });
    }, 60_000);

    it.each([1000, 18 * MiB])("shows nothing of a put that is under way, after %i bytes", async (length) => {
      const key = newKey();
      const { bytes } = randomData(length);
      let go = () => {};
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      let reached = () => {};
      const halfWay = new Promise<void>((resolve) => {
        reached = resolve;
      });
      const putting = storage.put(
        key,
        brokenAfter(bytes, length, async () => {
          reached();
          await gate;
        }),
        options,
      );
      await halfWay;
      expect(await storage.stat(key, options)).toBeNull();
      if (capabilities.canList) expect(await keysOf(storage.list(key.slice(0, -4), options))).toEqual([]);
      go();
      await putting;
      expect(await storage.stat(key, options)).toEqual({ sizeBytes: length });
    });

    describe.each([0, 1, 3 * MiB, 8 * MiB, 17 * MiB])("a put that breaks after %i bytes", (length) => {
      it("because its source throws leaves nothing and keeps the old object", async () => {
        const key = newKey();
        const old = newKey();
        await put(old, Buffer.from("old"));
        const { bytes } = randomData(length);
        const failure = Object.assign(new Error("the source broke"), { code: "ENOENT", syscall: "read" });
        const broken = () =>
          brokenAfter(bytes, length, async () => {
            throw failure;
          });
        await expect(storage.put(key, broken(), options)).rejects.toBe(failure);
        await expect(storage.put(old, broken(), options)).rejects.toBe(failure);
        expect(await storage.stat(key, options)).toBeNull();
        expect(String(await read(old))).toBe("old");
        if (capabilities.canList) expect(await keysOf(storage.list(key, options))).toEqual([]);
        expect(await place.leftovers()).toEqual([]);
      });

      it("because it is aborted stops at once, with the reason, and leaves nothing", async () => {
        const key = newKey();
        const { bytes } = randomData(length);
        const controller = new AbortController();
        const reason = new Error("cancelled by a person");
        const source = brokenAfter(bytes, length, async () => {
          setTimeout(() => controller.abort(reason), 20);
          await never();
        });
        const startedMs = performance.now();
        await expect(storage.put(key, source, { signal: controller.signal })).rejects.toBe(reason);
        expect(performance.now() - startedMs).toBeLessThan(3000);
        expect(await storage.stat(key, options)).toBeNull();
        expect(await place.leftovers()).toEqual([]);
      });
    });

    it("closes a source that it does not read to its end", async () => {
      let isClosed = false;
      const { bytes } = randomData(9 * MiB);
      const controller = new AbortController();
      const source = (async function* () {
        try {
          yield bytes;
          controller.abort(new Error("enough"));
          yield bytes;
          yield bytes;
        } finally {
          isClosed = true;
        }
      })();
      await expect(storage.put(newKey(), source, { signal: controller.signal })).rejects.toThrow("enough");
      await expect.poll(() => isClosed).toBe(true);
    });

    it("does nothing under a signal that is aborted already", async () => {
      const reason = new Error("too late");
      const aborted = { signal: AbortSignal.abort(reason) };
      const key = newKey();
      await expect(storage.put(key, oddChunks(Buffer.from("x")), aborted)).rejects.toBe(reason);
      await expect(storage.get(key, aborted)).rejects.toBe(reason);
      await expect(storage.stat(key, aborted)).rejects.toBe(reason);
      if (capabilities.canList) await expect(keysOf(storage.list("", aborted))).rejects.toBe(reason);
      if (capabilities.canDelete) await expect(storage.delete(key, aborted)).rejects.toBe(reason);
      await expect(storage.check(aborted)).rejects.toBe(reason);
    });

    it("stops a get half-way when it is aborted", async () => {
      const key = newKey();
      await put(key, randomData(20 * MiB).bytes);
      const controller = new AbortController();
      const reason = new Error("cancelled by a person");
      const reading = async () => {
        for await (const _chunk of await storage.get(key, { signal: controller.signal }))
          controller.abort(reason);
      };
      await expect(reading()).rejects.toBe(reason);
    });

    it("lets a reader leave early", async () => {
      const key = newKey();
      await put(key, randomData(9 * MiB).bytes);
      for (let round = 0; round < 12; round += 1) {
        for await (const _chunk of await storage.get(key, options)) break;
      }
      expect((await read(key, { offset: 1, length: 5 })).length).toBe(5);
    });

    it("does not read far ahead of what it has stored", async () => {
      let givenBytes = 0;
      let storedBytes = 0;
      let maxAheadBytes = 0;
      const chunk = randomData(256 * 1024).bytes;
      const source = (async function* () {
        for (; givenBytes < 120 * MiB; givenBytes += chunk.length) {
          maxAheadBytes = Math.max(maxAheadBytes, givenBytes - storedBytes);
          yield chunk;
        }
      })();
      const onBytes = (bytes: number) => {
        storedBytes += bytes;
      };
      await storage.put(newKey(), source, { signal, onBytes });
      expect(maxAheadBytes).toBeLessThanOrEqual(capabilities.maxReadAheadBytes);
      expect(storedBytes).toBe(120 * MiB);
    }, 60_000);
  });
}
