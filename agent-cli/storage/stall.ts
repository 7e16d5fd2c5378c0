import { abortable, abortScope } from "./abortable.ts";
import { StorageError } from "./storage.ts";

/** Without a byte for this long a connection counts as dead. */
export const defaultStallMs = 60_000;

/**
 * Aborts its signal when `moved` was not called for a while, or for the time that its last call allowed. It runs from
 * the start; `pause` holds it until `moved`.
 */
export type StallWatch = {
  signal: AbortSignal;
  moved(patienceMs?: number): void;
  pause(): void;
  stop(): void;
};

/** Watches one transfer. The signal also follows `parent`; `stop` must be called at the end. */
export function watchForStall(stallMs: number, parent: AbortSignal, what: string): StallWatch {
  const scope = abortScope(parent);
  const expire = (ms: number) =>
    scope.abort(new StorageError("unreachable", `${what}: no data moved for ${Math.round(ms / 100) / 10} s`));
  let timer = setTimeout(expire, stallMs, stallMs);
  let isStopped = false;
  return {
    signal: scope.signal,
    moved(patienceMs = stallMs) {
      clearTimeout(timer);
      if (!isStopped) timer = setTimeout(expire, patienceMs, patienceMs);
    },
    pause: () => clearTimeout(timer),
    stop() {
      clearTimeout(timer);
      isStopped = true;
      scope.end();
    },
  };
}

/** Passes `source` on and throws when it stays silent. The time its reader takes does not count. */
export async function* failWhenStalled(
  source: AsyncIterable<Uint8Array>,
  stallMs: number,
  signal: AbortSignal,
  what: string,
): AsyncGenerator<Uint8Array> {
  const watch = watchForStall(stallMs, signal, what);
  try {
    for await (const chunk of abortable(source, watch.signal)) {
      watch.pause();
      yield chunk;
      watch.moved();
    }
  } finally {
    watch.stop();
  }
}
