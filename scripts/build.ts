// `npm run build`: what the master serves beside its API, into dist/assets: the agent's package and the console.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const assets = path.join(root, "dist/assets");

// Chunks carry a hash in their names: without this, those of every build before would be served for ever.
rmSync(path.join(assets, "chunks"), { recursive: true, force: true });
mkdirSync(assets, { recursive: true });
const steps = [
  [path.join(root, "agent-cli/build.ts")],
  [
    path.join(root, "node_modules/vite/bin/vite.js"),
    "build",
    "--logLevel",
    "warn",
    path.join(root, "console"),
  ],
];
for (const step of steps) {
  const { status } = spawnSync(process.execPath, step, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
