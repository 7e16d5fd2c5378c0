import type { Reporter } from "../pipeline/pipeline.ts";
import type { FromChild, JobEnvelope, JobResults } from "./job.ts";

/** Does one job in this process. Each kind loads only what it needs: somebody may be waiting for a listing. */
export async function performJob(
  envelope: JobEnvelope,
  say: (message: FromChild) => void,
  signal: AbortSignal,
): Promise<JobResults[keyof JobResults]> {
  const { job, workDir, stateDir, network, ownPaths, identityFile, commands } = envelope;
  if (job.kind === "list_dir") {
    const { listDirectory } = await import("./list-directory.ts");
    return listDirectory(job.path);
  }
  if (job.kind === "discover" || job.kind === "preview") {
    const { discover, preview } = await import("./ask-source.ts");
    const access = { secrets: job.secrets, commands, workDir, ownPaths, signal };
    return job.kind === "discover" ? discover(job.server, access) : preview(job.source, access);
  }
  if (job.kind === "drop_unfinished") {
    const { dropUnfinished } = await import("./drop-unfinished.ts");
    return dropUnfinished(job, { secrets: job.secrets, commands, workDir, signal });
  }
  const { storagesOf, vaultContext } = await import("./connections.ts");
  const storages = await storagesOf(envelope, say);
  const vault = vaultContext(envelope, say);
  const run = { workDir, commands, signal, report: reporter(say) };
  const alive = () => say({ type: "waiting" });
  const byRestic = { ...run, stateDir, network, alive };
  switch (job.kind) {
    case "backup": {
      const { stepBack } = await import("./step-back.ts");
      await stepBack(job.spec.pipeline, (reason) => run.report.log("warn", reason));
      if (job.spec.pipeline.engine === "restic") {
        const { backUpByRestic } = await import("./restic.ts");
        return backUpByRestic(job, { ...byRestic, ownPaths }, storages);
      }
      const { backUp } = await import("./back-up.ts");
      return backUp(job, { ...run, ownPaths, identityFile, stateDir }, vault, storages);
    }
    case "backup_once": {
      const { backUpOnce } = await import("./back-up-once.ts");
      return backUpOnce(job, { ...run, ownPaths }, storages(null));
    }
    case "restore": {
      if (job.spec.engine === "restic") {
        const { restoreByRestic } = await import("./restic.ts");
        return restoreByRestic(job, byRestic, storages);
      }
      const { restore } = await import("./restore.ts");
      return restore(job, { ...run, identityFile }, await vault(), storages);
    }
    case "copy": {
      const { copy } = await import("./copy.ts");
      return copy(job, run, await vault(), storages);
    }
    case "verify": {
      if (job.spec.engine === "restic") {
        const { verifyByRestic } = await import("./restic.ts");
        return verifyByRestic(job, byRestic, storages);
      }
      const { verify } = await import("./verify.ts");
      return verify(job, { ...run, alive, identityFile }, await vault(), storages);
    }
    case "remove_remains": {
      const { removeRemains } = await import("./remove-remains.ts");
      return removeRemains(job.remains, storages, signal);
    }
    case "forget_snapshot": {
      const { forgetByRestic } = await import("./restic.ts");
      return forgetByRestic(job, byRestic, storages(null));
    }
    case "inspect_archive": {
      if (job.inspection.resticPassword !== undefined) {
        const { listByRestic } = await import("./restic.ts");
        return listByRestic(job, byRestic, storages(null));
      }
      const { inspectArchive } = await import("./inspect-archive.ts");
      return inspectArchive(job, { ...run, identityFile }, await vault(), storages(null));
    }
    case "test_target":
    case "delete_object": {
      const { openStorage } = await import("../storage/open-storage.ts");
      const storage = await openStorage(job.targetType, job.targetConfig, storages(null));
      if (job.kind === "delete_object") {
        await storage.delete(job.key, { signal });
        return { deleted: true };
      }
      const startedAt = performance.now();
      await storage.check({ signal });
      return { milliseconds: Math.round(performance.now() - startedAt) };
    }
  }
}

const reporter = (say: (message: FromChild) => void): Reporter => ({
  progress: (progress) => say({ type: "progress", progress }),
  log: (level, text) => say({ type: "log", level, text }),
});
