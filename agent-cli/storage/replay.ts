import { sleep } from "./abortable.ts";
import { backOffMs, mayHelpAgain, type RetryPolicy } from "./retry.ts";

/** A source that is read once, with its last bytes kept, so that a broken transfer can send them again. */
export type Replay = {
  /** The bytes from there to the end. A reader that was given up does not disturb the next one. */
  from(offset: number): AsyncGenerator<Uint8Array>;
  /** Whether the bytes from there on are still kept. */
  holds(offset: number): boolean;
  /** Bytes that the source has given so far. */
  readonly endBytes: number;
  /** Set once the source has thrown: then no transfer can succeed any more. */
  readonly failure: { error: unknown } | undefined;
};

export type ReplayOptions = {
  windowBytes: number;
  /** Called when a reader has come back for more: what it was given last has been taken. Each byte counts once. */
  onTaken?: ((bytes: number) => void) | undefined;
};

/** Chunks are copied, so the source may use its own again. */
export function replayable(source: AsyncIterable<Uint8Array>, options: ReplayOptions): Replay {
  const iterator = source[Symbol.asyncIterator]();
  const kept: { offset: number; bytes: Uint8Array }[] = [];
  let startBytes = 0;
  let endBytes = 0;
  let takenBytes = 0;
  let isDone = false;
  let failure: { error: unknown } | undefined;
  let pulling: Promise<void> | undefined;

  const keep = (chunk: Uint8Array) => {
    kept.push({ offset: endBytes, bytes: Uint8Array.from(chunk) });
    endBytes += chunk.length;
    for (let first = kept[0]; first && endBytes - startBytes > options.windowBytes; first = kept[0]) {
      // The newest chunk is what a reader is waiting for.
      if (kept.length === 1) return;
      startBytes += first.bytes.length;
      kept.shift();
    }
  };
  const pull = async () => {
    try {
      const next = await iterator.next();
      if (next.done) isDone = true;
      else if (next.value.length > 0) keep(next.value);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      pulling = undefined;
    }
  };
  const taken = (offset: number) => {
    if (offset <= takenBytes) return;
    options.onTaken?.(offset - takenBytes);
    takenBytes = offset;
  };
  return {
    holds: (offset) => offset >= startBytes && offset <= endBytes,
    get endBytes() {
      return endBytes;
    },
    get failure() {
      return failure;
    },
    async *from(offset) {
      for (let at = offset; ; ) {
        const chunk = kept.findLast((candidate) => candidate.offset <= at);
        if (at < startBytes) throw new RangeError(`byte ${at} is no longer kept`);
        if (chunk && at < chunk.offset + chunk.bytes.length) {
          const rest = chunk.bytes.subarray(at - chunk.offset);
          yield rest;
          at += rest.length;
          taken(at);
          continue;
        }
        if (failure) throw failure.error;
        if (isDone) return;
        // Two readers, an old one that was given up and its successor, may wait for the same chunk.
        pulling ??= pull();
        await pulling;
      }
    },
  };
}

/**
 * Sends a replayed source, and again from the byte that `resumeAt` finds when that broke and its bytes are still
 * kept. Failures count anew whenever the source got further. The error of a source is thrown as it is.
 */
export async function sendReplayed(
  replay: Replay,
  policy: RetryPolicy,
  signal: AbortSignal,
  send: (offset: number) => Promise<void>,
  resumeAt: () => Promise<number>,
): Promise<void> {
  let failures = 0;
  let endAtFailure = -1;
  for (let offset = 0; ; ) {
    try {
      return await send(offset);
    } catch (error) {
      signal.throwIfAborted();
      if (replay.failure) throw replay.failure.error;
      failures = replay.endBytes > endAtFailure ? 1 : failures + 1;
      endAtFailure = replay.endBytes;
      if (!mayHelpAgain(error) || failures >= policy.attempts) throw error;
      await sleep(backOffMs(policy, failures), signal);
      offset = await resumeAt();
      if (!replay.holds(offset)) throw error;
    }
  }
}
