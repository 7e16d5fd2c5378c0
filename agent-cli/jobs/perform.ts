import { makeClient } from "../client.ts";
import { makeDispatcher, makeStorageDispatcher, trustOwnCa } from "../network.ts";
import type { StorageEnv } from "../storage/open-storage.ts";
import { openStorage } from "../storage/open-storage.ts";
import type { VaultContext } from "../vault-client.ts";
import type { FromChild, JobEnvelope, JobResults } from "./job.ts";

/** Does one job in this process. */
export async function performJob(
  { job, workDir, ownPaths, master, token, network }: JobEnvelope,
  say: (message: FromChild) => void,
  signal: AbortSignal,
): Promise<JobResults[keyof JobResults]> {
  trustOwnCa(network);
  const run = { workDir, signal, report: reporter(say) };
  const vault = (): VaultContext => ({
    client: makeClient({ master: new URL(master), token, dispatcher: makeDispatcher(network) }),
    onWaiting: () => say({ type: "waiting" }),
  });
  const env = (): StorageEnv => ({ dispatcher: makeStorageDispatcher(network) });
  switch (job.kind) {
    case "backup": {
      const { backUp } = await import("./back-up.ts");
      return backUp(job, { ...run, ownPaths }, vault(), env());
    }
    case "restore": {
      const { restore } = await import("./restore.ts");
      return restore(job, run, vault(), env());
    }
    case "list_dir": {
      const { listDirectory } = await import("./list-directory.ts");
      return listDirectory(job.path);
    }
    case "test_target": {
      const storage = await openStorage(job.targetType, job.targetConfig, env());
      const startedAt = performance.now();
      await storage.check({ signal });
      return { milliseconds: Math.round(performance.now() - startedAt) };
    }
    case "delete_object": {
      const storage = await openStorage(job.targetType, job.targetConfig, env());
      await storage.delete(job.key, { signal });
      return { deleted: true };
    }
  }
}

const reporter = (say: (message: FromChild) => void) => ({
  progress: (progress: Extract<FromChild, { type: "progress" }>["progress"]) =>
    say({ type: "progress", progress }),
  log: (level: "info" | "warn" | "error", text: string) => say({ type: "log", level, text }),
});
