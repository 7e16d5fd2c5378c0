import { useEffect, useState } from "react";

export type LogLine = { seq: number; at: number; text: string };
export type Live<State> = { state: State | null; lines: LogLine[]; connected: boolean };

/** Lines that are kept of a long log; the rest can be read again by the log's own call. */
const KEPT_LINES = 20_000;
/** A long log comes as thousands of events at once: they are shown together. */
const SHOW_EVERY_MS = 100;

/**
 * A run as it goes: its state and its log from the master's server-sent events. The browser connects again by itself,
 * after sleep too, and goes on at the last line.
 */
export function useLive<State>(address: string | null): Live<State> {
  const [live, setLive] = useState<Live<State>>({ state: null, lines: [], connected: false });
  useEffect(() => {
    if (address === null) return;
    setLive({ state: null, lines: [], connected: false });
    return follow<State>(address, (change) => setLive((before) => change(before)));
  }, [address]);
  return live;
}

type Change<State> = (before: Live<State>) => Live<State>;

function follow<State>(address: string, apply: (change: Change<State>) => void): () => void {
  let news: LogLine[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = () => {
    const come = news;
    news = [];
    timer = undefined;
    apply((before) => ({ ...before, lines: withNew(before.lines, come) }));
  };
  const events = new EventSource(address);
  events.onopen = () => apply((before) => ({ ...before, connected: true }));
  events.onerror = () => apply((before) => ({ ...before, connected: false }));
  events.addEventListener("state", ({ data }) => apply((before) => ({ ...before, state: JSON.parse(data) })));
  events.addEventListener("log", ({ data }) => {
    news.push(JSON.parse(data));
    timer ??= setTimeout(show, SHOW_EVERY_MS);
  });
  // Left open, the browser would connect again and be told the same end for ever.
  events.addEventListener("end", () => events.close());
  return () => {
    clearTimeout(timer);
    events.close();
  };
}

/** After a connection was lost, lines may come a second time. */
function withNew(lines: LogLine[], come: LogLine[]): LogLine[] {
  const last = lines.at(-1)?.seq ?? 0;
  return [...lines, ...come.filter(({ seq }) => seq > last)].slice(-KEPT_LINES);
}
