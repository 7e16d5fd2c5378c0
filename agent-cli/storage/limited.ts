import { sleep } from "./abortable.ts";
import type { Storage } from "./storage.ts";

/** Bytes may pass at a certain rate, first come, first served. One bucket may serve any number of storages. */
export type TokenBucket = {
  /** Waits until that many bytes may pass. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** Take no more than this at once, so that the rate is kept evenly. */
  readonly sliceBytes: number;
  /** For programs that keep to a rate by themselves. */
  readonly bytesPerSecond: number;
};

const minSliceBytes = 1024;
const maxSliceBytes = 256 * 1024;

/** A bucket that holds an eighth of a second's worth. `onWait` is called whenever somebody has to wait. */
export function tokenBucket(bytesPerSecond: number, onWait: () => void = () => {}): TokenBucket {
  if (!(bytesPerSecond > 0)) throw new RangeError("a bandwidth limit must be more than 0 bytes per second");
  const burstMs = 125;
  // The moment up to which the line is spoken for. It lags at most one burst behind the clock.
  let bookedUntilMs = performance.now() - burstMs;
  return {
    bytesPerSecond,
    sliceBytes: Math.max(
      minSliceBytes,
      Math.min(maxSliceBytes, Math.floor((bytesPerSecond * burstMs) / 1000)),
    ),
    async take(bytes, signal) {
      signal.throwIfAborted();
      const now = performance.now();
      bookedUntilMs = Math.max(bookedUntilMs, now - burstMs) + (bytes / bytesPerSecond) * 1000;
      const waitMs = bookedUntilMs - now;
      if (waitMs <= 0) return;
      onWait();
      await sleep(waitMs, signal);
    },
  };
}

/** What passes this passes both. */
export const inBoth = (one: TokenBucket, other: TokenBucket): TokenBucket => ({
  bytesPerSecond: Math.min(one.bytesPerSecond, other.bytesPerSecond),
  sliceBytes: Math.min(one.sliceBytes, other.sliceBytes),
  async take(bytes, signal) {
    await Promise.all([one.take(bytes, signal), other.take(bytes, signal)]);
  },
});

/**
 * Keeps puts and gets below the bucket's rate. It holds back the stream before the storage: a storage that collects
 * big parts (s3) takes the bucket itself instead, since parts would otherwise leave in bursts. A file of this machine can
 * no longer be read past it: what looks like a disk may be mounted over the network.
 */
export function limited({ pathOf: _, ...storage }: Storage, bucket: TokenBucket): Storage {
  return {
    ...storage,
    put: (key, body, options) => storage.put(key, paced(body, bucket, options.signal), options),
    get: async (key, options) => paced(await storage.get(key, options), bucket, options.signal),
  };
}

/** The stream, in slices that the bucket lets through one by one. */
export async function* paced(
  source: AsyncIterable<Uint8Array>,
  bucket: TokenBucket,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; offset += bucket.sliceBytes) {
      const slice = chunk.subarray(offset, offset + bucket.sliceBytes);
      await bucket.take(slice.length, signal);
      yield slice;
    }
  }
}
