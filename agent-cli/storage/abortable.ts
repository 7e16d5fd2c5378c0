import { setTimeout as delay } from "node:timers/promises";

/** Passes `source` on, and throws the signal's reason as soon as it aborts, even while the source is silent. */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await unlessAborted(iterator.next(), signal);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    const closing = Promise.resolve(iterator.return?.()).catch(() => {});
    // A source that hangs in next() would hang here too, so an abort does not wait for it.
    if (!signal.aborted) await closing;
  }
}

/** The promise's outcome, or a rejection with the signal's reason if that comes first. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Not Promise.race with one long-lived promise: that keeps a reaction for every call until the signal dies.
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Waits, and rejects with the signal's reason when it aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** A signal that follows `parent` and can also be aborted from here; `end` lets go of the parent. */
export type AbortScope = { signal: AbortSignal; abort(reason: unknown): void; end(): void };

/** Opens a scope below `parent`. End it: a long-lived parent otherwise keeps every scope alive. */
export function abortScope(parent: AbortSignal): AbortScope {
  const controller = new AbortController();
  const follow = () => controller.abort(parent.reason);
  if (parent.aborted) follow();
  parent.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    end: () => parent.removeEventListener("abort", follow),
  };
}
