import { setTimeout as sleep } from "node:timers/promises";

/**
 * Passes bytes on at most `bytesPerSecond` on average, in pieces small enough for the flow to be even. A byte counts
 * once for each of its `copies`: the limit is on what leaves the machine, and each target gets its own copy.
 */
export async function* throttle(
  source: AsyncIterable<Uint8Array>,
  bytesPerSecond: number | null,
  signal: AbortSignal,
  copies: () => number,
): AsyncGenerator<Uint8Array> {
  if (bytesPerSecond === null) {
    yield* source;
    return;
  }
  if (!(bytesPerSecond > 0))
    throw new Error(`a bandwidth limit of ${bytesPerSecond} bytes per second is not possible`);
  const pieceBytes = Math.max(1, Math.min(1024 * 1024, Math.floor(bytesPerSecond / 8)));
  let freeAt = performance.now();
  for await (const chunk of source) {
    // Whoever gets a piece may take its memory away, and with it its length.
    const { length } = chunk;
    for (let from = 0; from < length; from += pieceBytes) {
      const piece = chunk.subarray(from, from + pieceBytes);
      const now = performance.now();
      if (freeAt > now) await sleep(freeAt - now, undefined, { signal });
      const ownMs = (piece.length / bytesPerSecond) * 1000;
      yield piece;
      // Time that was lost waiting for a slow target is not made up for with a burst.
      freeAt = Math.max(freeAt, performance.now() - 250) + ownMs * copies();
    }
  }
}
