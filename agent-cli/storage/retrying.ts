import { sleep } from "./abortable.ts";
import { backOffMs, defaultRetryPolicy, mayHelpAgain, type RetryPolicy, retry } from "./retry.ts";
import type { GetOptions, Storage } from "./storage.ts";

/**
 * Repeats what can be repeated from here. A put cannot: its stream is used up, so storages repeat their parts
 * themselves. A get that breaks goes on from the byte where it broke; what was read is not checked against what
 * follows, since artifacts are never changed, only replaced, and their checksum is known to the reader.
 */
export function retrying(storage: Storage, policy: RetryPolicy = defaultRetryPolicy): Storage {
  return {
    put: (key, body, options) => storage.put(key, body, options),
    get: async (key, options) => {
      const first = await retry(policy, options.signal, () => storage.get(key, options));
      return resumed(storage, policy, key, options, first);
    },
    stat: (key, options) => retry(policy, options.signal, () => storage.stat(key, options)),
    list: (prefix, options) => listAgain(storage, policy, prefix, options.signal),
    delete: (key, options) => retry(policy, options.signal, () => storage.delete(key, options)),
    check: (options) => retry(policy, options.signal, () => storage.check(options)),
    ...(storage.pathOf ? { pathOf: storage.pathOf } : {}),
  };
}

async function* resumed(
  storage: Storage,
  policy: RetryPolicy,
  key: string,
  { signal, range }: GetOptions,
  first: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const start = range?.offset ?? 0;
  let seenBytes = 0;
  let failuresInARow = 0;
  for (let body = first; ; ) {
    try {
      for await (const chunk of body) {
        failuresInARow = 0;
        seenBytes += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      failuresInARow += 1;
      if (!mayHelpAgain(error) || failuresInARow >= policy.attempts) throw error;
      await sleep(backOffMs(policy, failuresInARow), signal);
      body = await retry(policy, signal, async () => {
        const end = range ? start + range.length : await endOf(storage, key, signal, error);
        const offset = start + seenBytes;
        return storage.get(key, { signal, range: { offset, length: end - offset } });
      });
    }
  }
}

async function endOf(storage: Storage, key: string, signal: AbortSignal, error: unknown): Promise<number> {
  const found = await storage.stat(key, { signal });
  if (found === null) throw error;
  return found.sizeBytes;
}

/** Begins again from the start and leaves out what it has given already: storages promise no order to go on from. */
async function* listAgain(
  storage: Storage,
  policy: RetryPolicy,
  prefix: string,
  signal: AbortSignal,
): ReturnType<Storage["list"]> {
  const given = new Set<string>();
  let iterator = storage.list(prefix, { signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await retry(policy, signal, async (number) => {
        if (number > 1) iterator = storage.list(prefix, { signal })[Symbol.asyncIterator]();
        return nextNew(iterator, given);
      });
      if (next.done) return;
      given.add(next.value.key);
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

async function nextNew<T extends { key: string }>(
  iterator: AsyncIterator<T>,
  given: Set<string>,
): Promise<IteratorResult<T>> {
  for (;;) {
    const next = await iterator.next();
    if (next.done || !given.has(next.value.key)) return next;
  }
}
