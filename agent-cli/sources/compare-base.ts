import { setImmediate as breathe } from "node:timers/promises";
import type { Segment } from "../pipeline/index-entries.ts";
import { mapInOrder } from "../pipeline/map-in-order.ts";
import type { PackThreads } from "../pipeline/pack-threads.ts";
import { Pool } from "../pipeline/pool.ts";
import { type ComparedSegment, type CompareOptions, compareInSteps } from "./compare-segment.ts";

type Compare = (segment: Segment) => Promise<ComparedSegment>;

/** What is compared waits for what comes before it; with fewer in hand, the others would wait for the slowest. */
const ahead = 8;
/** So long does this thread look at files before it turns to the network and to the other threads. */
const stretchMs = 1;

/**
 * Compares the segments of a base with what is there now, in their order. This thread does so itself, beside one thread
 * less than there are to be: to start one takes as long as looking at 10,000 files, and a small tree needs none.
 */
export async function* compareBase(
  segments: readonly Segment[],
  threads: PackThreads,
  options: CompareOptions,
  signal: AbortSignal,
): AsyncGenerator<{ segment: Segment; compared: ComparedSegment }> {
  const here: Compare = (segment) => compareHere(segment, options, signal);
  const lanes = new Pool([here], threads.count - 1, (): Compare => (segment) => threads.compare(segment));
  yield* mapInOrder(segments, threads.count + ahead, async (segment) => ({
    segment,
    compared: await lanes.use((compare) => compare(segment)),
  }));
}

async function compareHere(
  segment: Segment,
  options: CompareOptions,
  signal: AbortSignal,
): Promise<ComparedSegment> {
  const comparison = compareInSteps(segment, options);
  for (let since = performance.now(); ; ) {
    const step = comparison.next();
    if (step.done) return step.value;
    if (performance.now() - since < stretchMs) continue;
    await breathe();
    signal.throwIfAborted();
    since = performance.now();
  }
}
