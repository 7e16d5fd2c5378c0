import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import { artifactKey } from "./artifact-key.ts";
import { isDirect, type TaskSpec } from "./job.ts";

/**
 * Removes what a backup that was killed has left in the targets that it wrote to itself: an object that was whole before
 * those of others were, and the parts of one that was not.
 */
export async function removeRemains(
  spec: TaskSpec,
  env: StorageEnv,
  signal: AbortSignal,
): Promise<{ failed: string[] }> {
  const { key } = artifactKey(spec);
  const removals = spec.targets.filter(isDirect).map(async ({ name, type, config }) => {
    try {
      const storage = await openStorage(type, config, env);
      await storage.delete(key, { signal });
      return [];
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
  return { failed: (await Promise.all(removals)).flat() };
}
