import { doorbellClose } from "../../protocol/index.ts";
import { DomainError } from "../errors.ts";
import type { Bell, Census } from "./bell.ts";
import { type Doorbell, NODE_ID_HEADER } from "./doorbell.ts";

/** What a verb may wait for the Doorbell: far above a usual call (5 ms), far below what a person notices as hanging. */
const CALL_TIMEOUT_MS = 1000;
const CENSUS_TIMEOUT_MS = 5000;
const OPEN_TIMEOUT_MS = 10_000;

/**
 * The Doorbell as verbs see it, spread over `shards` objects by node id. The number may grow: a census moves sockets
 * to where they belong. After it shrank, agents come back by themselves and `expect` finds those who do not.
 */
export function connectBell(namespace: DurableObjectNamespace<Doorbell>, shards: number): Bell {
  // A stub is of no use after an error, so each call gets its own.
  const stub = (shard: number) => namespace.getByName(`bell-${shard}`);
  const perShard = <T>(nodeIds: number[], call: (shard: number, ids: number[]) => Promise<T>) =>
    Promise.all([...groupByShard(nodeIds, shards)].map(([shard, ids]) => call(shard, ids)));

  return {
    ring: async (nodeIds) => {
      await perShard(nodeIds, (shard, ids) => quietly(CALL_TIMEOUT_MS, () => stub(shard).ring(ids)));
    },
    kick: async (nodeIds) => {
      await perShard(nodeIds, (shard, ids) =>
        quietly(CALL_TIMEOUT_MS, () => stub(shard).kick(ids, doorbellClose.revoked)),
      );
    },
    lastSeen: async (nodeIds) => {
      const signs = await perShard(nodeIds, (shard, ids) =>
        quietly(CALL_TIMEOUT_MS, () => stub(shard).lastSeen(ids)),
      );
      return new Map(signs.flatMap((found) => found ?? []).map(({ id, lastSeen }) => [id, lastSeen]));
    },
    census: async () => {
      const answers = await Promise.all(
        Array.from({ length: shards }, (_, shard) =>
          quietly<Census>(CENSUS_TIMEOUT_MS, () => stub(shard).census(shard, shards)),
        ),
      );
      return answers.filter((answer) => answer !== null);
    },
    acknowledge: async ({ shard, version }) => {
      if (version === null) return;
      await quietly(CENSUS_TIMEOUT_MS, () => stub(shard).acknowledge(version));
    },
    expect: async (nodeIds) => {
      await perShard(nodeIds, (shard, ids) => quietly(CENSUS_TIMEOUT_MS, () => stub(shard).expect(ids)));
    },
    open: async (nodeId, request) => {
      const headers = new Headers(request.headers);
      headers.set(NODE_ID_HEADER, String(nodeId));
      const answer = await quietly(OPEN_TIMEOUT_MS, () =>
        stub(nodeId % shards).fetch(new Request(request, { headers })),
      );
      if (answer?.webSocket) return answer;
      throw new DomainError("MASTER_OVERLOADED", "the doorbell is away: poll instead", {
        retryAfterSeconds: 30,
      });
    },
  };
}

function groupByShard(nodeIds: number[], shards: number): Map<number, number[]> {
  return Map.groupBy(new Set(nodeIds), (id) => id % shards);
}

/** The call's answer; null when it fails or takes too long. */
async function quietly<T>(timeoutMs: number, call: () => Promise<T>): Promise<T | null> {
  const timer = new AbortController();
  try {
    return await Promise.race([call(), scheduler.wait(timeoutMs, { signal: timer.signal }).then(() => null)]);
  } catch (error) {
    console.warn(JSON.stringify({ message: "doorbell call failed", error: String(error) }));
    return null;
  } finally {
    timer.abort();
  }
}
