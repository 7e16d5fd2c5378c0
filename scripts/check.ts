// `npm run check`: format, lint, import rules, promises, generated files, types and unused code; all of them, always.
import { spawnSync } from "node:child_process";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const bin = (name: string) => path.join(root, "node_modules/.bin", name);

const checks: [name: string, command: string, ...args: string[]][] = [
  ["format, lint, import rules", bin("biome"), "check", "--error-on-warnings", "."],
  [
    "promises",
    bin("oxlint"),
    "--type-aware",
    "protocol",
    "worker",
    "agent-cli",
    "console",
    "scripts",
    "test",
    "bench",
  ],
  ["worker/env.d.ts is current", bin("wrangler"), "types", "worker/env.d.ts", "--check"],
  ["migrations are consistent", bin("drizzle-kit"), "check"],
  ["types of protocol", bin("tsc"), "-p", "protocol"],
  ["types of worker", bin("tsc"), "-p", "worker"],
  ["types of agent-cli", bin("tsc"), "-p", "agent-cli"],
  ["types of console", bin("tsc"), "-p", "console"],
  ["types of scripts and bench", bin("tsc"), "-p", "scripts"],
  ["types of test", bin("tsc"), "-p", "test"],
  ["types of test/worker", bin("tsc"), "-p", "test/worker"],
  ["unused code and packages", bin("knip")],
];

let failed = 0;
for (const [name, command, ...args] of checks) {
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true" },
  });
  const ok = done.status === 0;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
  if (ok) continue;
  failed++;
  console.log(`${done.stdout ?? ""}${done.stderr ?? ""}`.trimEnd());
}
console.log(failed === 0 ? `all ${checks.length} checks hold` : `${failed} of ${checks.length} checks fail`);
process.exit(failed === 0 ? 0 : 1);
