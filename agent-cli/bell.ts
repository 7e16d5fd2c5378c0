import { pause } from "./backoff.ts";

/** A wait that can be cut short. Rings while nobody waits are remembered as one. */
export type Bell = { ring(): void; wait(ms: number, signal: AbortSignal): Promise<void> };

export function makeBell(): Bell {
  let rung = false;
  let wake = () => {};
  return {
    ring() {
      rung = true;
      wake();
    },
    async wait(ms, signal) {
      if (!rung) {
        const cut = new AbortController();
        wake = () => cut.abort();
        await pause(ms, AbortSignal.any([signal, cut.signal]));
        wake = () => {};
      }
      rung = false;
    },
  };
}
