import type { Reporter, TestModule } from "vitest/node";

/** Ends a run with what was skipped, by name, and one line that counts. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const named = (state: string) => tests.filter((test) => test.result().state === state);
    const broken = modules.filter((module) => module.errors().length > 0).length;
    const skipped = named("skipped");
    for (const test of skipped) console.log(`skipped: ${test.module.relativeModuleId} > ${test.fullName}`);
    const failed = named("failed").length + broken + errors.length;
    console.log(
      `${named("passed").length} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`,
    );
  }
}
