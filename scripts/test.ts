// `npm test`: builds the agent, then runs every suite: in Node, in workerd and with real processes.
import { spawnSync } from "node:child_process";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const run = (args: string[]) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" }).status ?? 1;

const built = run([path.join(root, "scripts/build.ts")]);
process.exit(
  built || run([path.join(root, "node_modules/vitest/vitest.mjs"), "run", ...process.argv.slice(2)]),
);
