import { spawnSync } from "node:child_process";
import path from "node:path";
import { isOlder, oneAtATime } from "../e2e/builds.ts";

const root = path.resolve(import.meta.dirname, "../..");
const built = path.join(root, "dist/assets/index.html");

/** What the master serves, as the sources are now; `npm test` has built it already. */
export async function buildConsole(): Promise<void> {
  await oneAtATime(() => {
    if (isOlder(built, "{console,protocol}/**/*.{ts,tsx,css,html}")) viteBuild();
  });
}

export function viteBuild(...args: string[]): void {
  const vite = path.join(root, "node_modules/vite/bin/vite.js");
  const done = spawnSync(process.execPath, [vite, "build", path.join(root, "console"), ...args], {
    encoding: "utf8",
    // The test runner's own would make it React's development build.
    env: { ...process.env, NODE_ENV: "production" },
  });
  if (done.status !== 0) throw new Error(`the console could not be built:\n${done.stderr}${done.stdout}`);
}
