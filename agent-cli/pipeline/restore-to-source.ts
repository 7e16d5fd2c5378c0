import { sourceOf } from "../sources/open-source.ts";
import { newTally } from "../sources/source.ts";
import { contentOf } from "./artifact-content.ts";
import type { Restoring } from "./restore.ts";

/**
 * Gives an artifact back to what it was read from, such as a database server. `first` is its first reading, which only
 * proves it.
 */
export async function restoreToSource(
  { job, artifact, progress }: Restoring,
  first: AsyncIterable<Uint8Array>,
): Promise<{ entries: number; bytes: number }> {
  const { source, signal, workDir, report, conflict } = job;
  const { restore } = sourceOf(job.sourceType);
  if (job.destination !== null) {
    throw new Error(
      "databases go back to their server: name no destination, but new names if they are to have some",
    );
  }
  if (!source || !restore)
    throw new Error(`where this ${job.sourceType} backup is to be restored to is not known`);
  const tally = newTally();
  const running = await restore(
    { source, conflict, report, tally, options: { ...everything, ...job.options } },
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
