import { ExitError } from "../exit-codes.ts";
import type { Job, JobResults } from "../jobs/job.ts";
import { runEnvelope } from "../jobs/run-envelope.ts";
import type { Progress, Reporter, Warning } from "../pipeline/pipeline.ts";
import { removeTree } from "../remove-tree.ts";
import { formatBytes } from "./print.ts";
import { makeRunFolder, removeLeftRunFolders } from "./run-folder.ts";

type Run = { workDir: string; signal: AbortSignal; report: Reporter };

/** Runs one job in this process: with a private directory, a line of progress on a terminal, and a way to stop it. */
export async function runOnce<T>(job: (run: Run) => Promise<T>): Promise<T> {
  const workDir = await makeRunFolder();
  const stop = new AbortController();
  const onSignal = () => stop.abort(new ExitError("interrupted", "stopped"));
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, onSignal);
  const line = progressLine();
  const report: Reporter = {
    progress: line.show,
    log: (level, text) => {
      if (level === "info") return;
      line.clear();
      process.stderr.write(`${level}: ${text}\n`);
    },
  };
  try {
    await removeLeftRunFolders((text) => report.log("warn", text));
    return await job({ workDir, signal: stop.signal, report });
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError("failed", (error as Error).message || String(error));
  } finally {
    line.clear();
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, onSignal);
    await removeTree(workDir);
  }
}

/** Does such a job in a process of its own, which is started as the agent starts those of its master. */
export async function runApart<K extends Job["kind"]>(
  job: Extract<Job, { kind: K }>,
  { workDir, signal, report }: Run,
  caCertFile: string | null,
): Promise<JobResults[K]> {
  const nobody = { stateDir: workDir, ownPaths: [], identityFile: null, commands: {}, master: "", token: "" };
  const network = { proxyUrl: null, insecureTls: false, caCertFile };
  return runEnvelope<K>(
    { job, workDir, network, ...nobody },
    { signal, onProgress: report.progress, onLog: report.log },
  );
}

/** Most lines about warnings that are worth a person's screen; all of them are in the JSON answer. */
const SHOWN_WARNINGS = 20;

export function shownWarnings(warnings: Warning[], count: number): string[] {
  const lines = warnings
    .slice(0, SHOWN_WARNINGS)
    .map(({ path, reason }) => `  ${JSON.stringify(path)}: ${reason}`);
  return count > lines.length ? [...lines, `  and ${count - lines.length} more`] : lines;
}

function progressLine() {
  const { stderr } = process;
  return {
    show({ phase, entries, sourceBytes, artifactBytes }: Progress) {
      if (!stderr.isTTY) return;
      const bytes = `${formatBytes(sourceBytes)} read, ${formatBytes(artifactBytes)} of artifact`;
      stderr.write(`\r\x1b[K${phase}: ${entries} entries, ${bytes}`);
    },
    clear() {
      if (stderr.isTTY) stderr.write("\r\x1b[K");
    },
  };
}
