import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync } from "node:fs";
import path from "node:path";
import { isOlder, oneAtATime } from "./builds.ts";

const root = path.resolve(import.meta.dirname, "../..");
const agent = path.join(root, "agent-cli");
const built = path.join(agent, "dist/main.js");

/** The agent's program as a machine has it, built from the sources as they are now; returns its entry. */
export async function installAgent(folder: string): Promise<string> {
  await oneAtATime(() => {
    if (isOlder(built, "{agent-cli,protocol}/**/*.ts")) build();
    mkdirSync(folder, { recursive: true });
    cpSync(path.join(agent, "dist"), path.join(folder, "dist"), { recursive: true });
    copyFileSync(path.join(agent, "package.json"), path.join(folder, "package.json"));
  });
  return path.join(folder, "dist/main.js");
}

function build(): void {
  const done = spawnSync(process.execPath, [path.join(agent, "build.ts")], { cwd: root, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`the agent could not be built:\n${done.stderr}${done.stdout}`);
}
