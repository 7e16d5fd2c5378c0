import { spawnSync } from "node:child_process";
import { describe, test } from "vitest";
import { findInstalledForTests } from "./installed-for-tests.ts";

findInstalledForTests();

/**
 * Tests that need programs of this machine. Where one is missing they are skipped, by a name that says which; in CI,
 * which installs them, they fail instead.
 */
export function describeWith(programs: string[], name: string, tests: () => void): void {
  const missing = missingOf(programs, name);
  if (missing.length === 0) return void describe(name, tests);
  describe.skip(skippedName(name, missing), tests);
}

/** The same for a single test. */
export function testWith(
  programs: string[],
  name: string,
  run: () => Promise<void> | void,
  timeoutMs?: number,
) {
  const missing = missingOf(programs, name);
  if (missing.length === 0) return void test(name, run, timeoutMs);
  test.skip(skippedName(name, missing), run);
}

const skippedName = (name: string, missing: string[]) => `${name} (needs ${missing.join(", ")})`;

function missingOf(programs: string[], name: string): string[] {
  const missing = programs.filter(
    (program) => spawnSync("sh", ["-c", 'command -v "$0"', program]).status !== 0,
  );
  if (missing.length > 0 && process.env.CI === "true") {
    throw new Error(`${name}: needs ${missing.join(", ")}, which .ci/run should have installed`);
  }
  return missing;
}
