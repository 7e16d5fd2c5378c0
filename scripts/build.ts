// `npm run build`: what the master serves beside its API, into dist/assets: the agent's package and the pages.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const assets = path.join(root, "dist/assets");

mkdirSync(assets, { recursive: true });
cpSync(path.join(root, "console"), assets, { recursive: true });
const agent = spawnSync(process.execPath, [path.join(root, "agent-cli/build.ts")], {
  cwd: root,
  stdio: "inherit",
});
process.exit(agent.status ?? 1);
