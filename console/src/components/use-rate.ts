import { useEffect, useState } from "react";

type Sample = { at: number; done: number };

/** As long as this is looked back: a moment's stall should not make the time left jump. */
const WINDOW_MS = 30_000;

/** How many bytes a second something moves, by what was reported of it lately; null while that says nothing yet. */
export function useRate(done: number | null): number | null {
  const [samples, setSamples] = useState<Sample[]>([]);
  useEffect(() => {
    if (done === null) return setSamples([]);
    const at = Date.now();
    setSamples((before) =>
      // What begins anew, such as the next phase, has a rate of its own.
      before.some((sample) => sample.done > done)
        ? [{ at, done }]
        : [...before.filter((sample) => at - sample.at < WINDOW_MS), { at, done }],
    );
  }, [done]);
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || last.at - first.at < 1000) return null;
  return ((last.done - first.done) * 1000) / (last.at - first.at);
}
