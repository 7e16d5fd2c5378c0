import { statSync } from "node:fs";
import { join, posix } from "node:path";
import { sourceOf } from "../sources/open-source.ts";
import { newRestoreMark } from "../sources/restore-mark.ts";
import { newTally } from "../sources/source.ts";
import { contentOf } from "./artifact-content.ts";
import type { Restoring } from "./restore.ts";
import { restoreOneFile } from "./restore-one-file.ts";

/**
 * Gives an artifact back to what it was read from, such as a database server; or, with a destination, writes what was
 * dumped into a file there. `first` is its first reading, which only proves it.
 */
export async function restoreToSource(
  restoring: Restoring,
  first: AsyncIterable<Uint8Array>,
): Promise<{ entries: number; bytes: number }> {
  const { job, artifact, progress } = restoring;
  const { source, signal, workDir, report, conflict } = job;
  const { restore } = sourceOf(job.sourceType);
  if (job.destination !== null) {
    const { databases, renameDatabases } = { ...everything, ...job.options };
    if (databases !== null || Object.keys(renameDatabases).length > 0) {
      throw new Error("a destination gets the whole dump as it is: choose no databases and no new names");
    }
    return await restoreOneFile(restoring, first, fileAt(job.destination, job.key));
  }
  if (!source || !restore)
    throw new Error(`where this ${job.sourceType} backup is to be restored to is not known`);
  const tally = newTally();
  const running = await restore(
    {
      ...{ source, conflict, report, tally, options: { ...everything, ...job.options } },
      mark: job.mark ?? newRestoreMark(),
    },
    { secrets: job.sourceSecrets ?? { password: null }, commands: job.commands ?? {}, workDir, signal },
  );
  try {
    await running.check(first);
    progress.phase = "restoring";
    return await running.load(
      watched(contentOf(job, artifact.second()), signal, () => {
        progress.entries = tally.entries;
        progress.sourceBytes = tally.sourceBytes;
        progress.currentPath = tally.currentPath?.toString() ?? null;
      }),
    );
  } finally {
    await running.close();
  }
}

/** A directory gets a file of the artifact's own name, without what says how it was packed. */
function fileAt(destination: string, key: string): string {
  if (!statSync(destination, { throwIfNoEntry: false })?.isDirectory()) return destination;
  return join(
    destination,
    posix
      .basename(key)
      .replace(/\.age$/, "")
      .replace(/\.(zst|gz)$/, ""),
  );
}

const everything = { databases: null, renameDatabases: {}, owners: true, roles: false };

async function* watched(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onChunk: () => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    signal.throwIfAborted();
    onChunk();
    yield chunk;
  }
  onChunk();
}
