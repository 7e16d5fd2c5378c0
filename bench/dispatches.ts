import { setTimeout as delay } from "node:timers/promises";

export type Dispatched = {
  /** Milliseconds from the click to the command in the agent's hands, in the order of the clicks. */
  latencies: number[];
  lost: number;
};

type Options = { nodeIds: number[]; dispatches: number; giveUpAfterMs: number; everyMs: number | null };

/**
 * Clicks that many times for random nodes, no node twice at once: one after the other, or one each `everyMs` whatever
 * became of those before. `click` ends when its caller has an answer, `inHand` when the agent has the command.
 */
export async function dispatch(
  { nodeIds, dispatches, giveUpAfterMs, everyMs }: Options,
  click: (nodeId: number) => Promise<unknown>,
  inHand: (nodeId: number) => Promise<number>,
): Promise<Dispatched> {
  const latencies: number[] = [];
  let lost = 0;
  const busy = new Set<number>();
  const one = async () => {
    const idle = nodeIds.filter((id) => !busy.has(id));
    const nodeId = idle[Math.floor(Math.random() * idle.length)];
    if (nodeId === undefined) throw new Error("more dispatches at a time than nodes");
    busy.add(nodeId);
    const got = inHand(nodeId);
    const clickedAt = performance.now();
    const answered = click(nodeId).catch((error: unknown) => console.error(String(error)));
    const at = await Promise.race([got, delay(giveUpAfterMs).then(() => null)]);
    if (at === null) lost++;
    else latencies.push(at - clickedAt);
    await answered;
    busy.delete(nodeId);
  };
  const running: Promise<void>[] = [];
  for (let sent = 0; sent < dispatches; sent++) {
    const next = one();
    if (everyMs === null) await next;
    else {
      running.push(next);
      await delay(everyMs);
    }
  }
  await Promise.all(running);
  return { latencies, lost };
}
