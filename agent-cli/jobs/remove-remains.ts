import { openStorage } from "../storage/open-storage.ts";
import type { StoragesOf } from "./connections.ts";
import type { Remains } from "./job.ts";

/**
 * Removes what a job that was killed has left in the targets that it wrote to itself: an object that was whole before
 * those of others were, and the parts of one that was not.
 */
export async function removeRemains(
  remains: Remains[],
  storages: StoragesOf,
  signal: AbortSignal,
): Promise<{ failed: string[] }> {
  const removals = remains.map(async ({ target, key }) => {
    const { name, type, config } = target;
    try {
      const storage = await openStorage(type, config, storages(target));
      await storage.delete(key, { signal });
      return [];
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
  return { failed: (await Promise.all(removals)).flat() };
}
