import { spawnSync } from "node:child_process";
import { describe } from "vitest";

/**
 * A group of tests that need programs of this machine. Where one is missing they are skipped, by a name that says
 * which; in CI, which installs them, they fail instead.
 */
export function describeWith(programs: string[], name: string, tests: () => void): void {
  const missing = programs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  if (missing.length === 0) return void describe(name, tests);
  if (process.env.CI === "true") {
    throw new Error(`${name}: needs ${missing.join(", ")}, which .ci/run should have installed`);
  }
  describe.skip(`${name} (needs ${missing.join(", ")})`, tests);
}
