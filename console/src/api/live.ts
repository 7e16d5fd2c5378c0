import { useEffect, useState } from "react";

type LogLine = { seq: number; at: number; text: string };
export type Live<State> = { state: State | null; lines: LogLine[]; connected: boolean };

/** Lines that are kept of a long log; the rest can be read again by the log's own call. */
const KEPT_LINES = 20_000;

/**
 * A run as it goes: its state and its log from the master's server-sent events. The browser connects again by itself,
 * after sleep too, and goes on at the last line.
 */
export function useLive<State>(address: string | null): Live<State> {
  const [live, setLive] = useState<Live<State>>({ state: null, lines: [], connected: false });
  useEffect(() => {
    if (address === null) return;
    setLive({ state: null, lines: [], connected: false });
    const events = new EventSource(address);
    events.onopen = () => setLive((before) => ({ ...before, connected: true }));
    events.onerror = () => setLive((before) => ({ ...before, connected: false }));
    events.addEventListener("state", ({ data }) =>
      setLive((before) => ({ ...before, state: JSON.parse(data) })),
    );
    events.addEventListener("log", ({ data }) => {
      const line = JSON.parse(data) as LogLine;
      setLive((before) =>
        line.seq <= (before.lines.at(-1)?.seq ?? 0)
          ? before
          : { ...before, lines: [...before.lines, line].slice(-KEPT_LINES) },
      );
    });
    // Left open, the browser would connect again and be told the same end for ever.
    events.addEventListener("end", () => events.close());
    return () => events.close();
  }, [address]);
  return live;
}
