import { openStorage } from "../storage/open-storage.ts";
import { artifactKey } from "./artifact-key.ts";
import type { StoragesOf } from "./connections.ts";
import { isDirect, type TaskSpec } from "./job.ts";

/**
 * Removes what a backup that was killed has left in the targets that it wrote to itself: an object that was whole before
 * those of others were, and the parts of one that was not.
 */
export async function removeRemains(
  spec: TaskSpec,
  storages: StoragesOf,
  signal: AbortSignal,
): Promise<{ failed: string[] }> {
  const { key } = artifactKey(spec);
  const removals = spec.targets.filter(isDirect).map(async (target) => {
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
