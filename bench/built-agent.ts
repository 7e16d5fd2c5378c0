import { spawnSync } from "node:child_process";
import { join } from "node:path";

const agentFolder = join(import.meta.dirname, "..", "agent-cli");

/** Builds the agent: what is measured is what is shipped, and never what an earlier build left. */
export function buildAgent(): void {
  const { status } = spawnSync(process.execPath, [join(agentFolder, "build.ts")], { stdio: "inherit" });
  if (status !== 0) throw new Error("the agent could not be built; what it says stands above");
}

/** A file of the agent, e.g. `dist/job.js`. */
export const agentFile = (path: string): string => join(agentFolder, path);
