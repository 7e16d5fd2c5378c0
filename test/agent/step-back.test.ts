import { spawnSync } from "node:child_process";
import { expect } from "vitest";
import { testWith } from "../needs.ts";

const url = new URL("../../agent-cli/jobs/step-back.ts", import.meta.url).href;

/** What a process of its own has become, with a thread that it started afterwards. */
function steppedBack(place: object, env: Record<string, string> = {}) {
  const script = `
    import { execFileSync } from "node:child_process";
    import { getPriority } from "node:os";
    import { Worker } from "node:worker_threads";
    import { stepBack } from ${JSON.stringify(url)};
    const warnings = [];
    await stepBack(${JSON.stringify(place)}, (reason) => warnings.push(reason));
    const code = 'const fs = process.getBuiltinModule("node:fs"); fs.writeSync(1, fs.readFileSync("/proc/thread-self/stat", "latin1"))';
    await new Promise((resolve) => new Worker(code, { eval: true }).once("exit", resolve));
    console.log("\\n" + JSON.stringify({ warnings, nice: getPriority(), io: process.env.BARE ? "" : String(execFileSync("ionice", ["-p", String(process.pid)])).trim() }));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, ...env },
  });
  const lines = stdout.toString().trim().split("\n");
  if (lines.length < 2) throw new Error(stderr.toString());
  const fields = (lines[0] ?? "").slice((lines[0] ?? "").lastIndexOf(")") + 2).split(" ");
  return { ...JSON.parse(lines.at(-1) ?? ""), threadNice: Number(fields[16]) };
}

testWith(["ionice"], "a job lets others go first, with the threads that it starts", () => {
  expect(steppedBack({ nice: 17, ioClass: "idle" })).toEqual({
    warnings: [],
    nice: 17,
    threadNice: 17,
    io: "idle",
  });
  expect(steppedBack({ nice: null, ioClass: "best-effort" })).toMatchObject({ io: "best-effort: prio 7" });
});

testWith(["ionice"], "what a machine has no program for is a warning, and the job goes on", () => {
  const { warnings, nice } = steppedBack({ nice: 18, ioClass: "idle" }, { PATH: "/nowhere", BARE: "1" });
  expect(warnings).toEqual(["I/O class idle is not possible here: there is no program ionice"]);
  expect(nice).toBe(18);
});
