import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type FakeMaster, startFakeMaster } from "../fakes/fake-master.ts";
import { type AgentProcess, scratch, startAgent, until } from "./agent-process.ts";

type Options = Parameters<typeof startFakeMaster>[0];

/** A master of its own, and a way to start the agent on a state directory of its own, as often as wanted. */
export async function world(
  options: Options = {},
  agentOptions: { args?: string[]; env?: Record<string, string> } = {},
) {
  const master = await startFakeMaster(options);
  onTestFinished(() => master.close());
  const folder = scratch();
  const stateDir = join(folder, "state");
  const start = () => startAgent(master, { stateDir, ...agentOptions });
  return { master, folder, stateDir, start };
}

/** Waits for the first result of a command. */
export async function finished(master: FakeMaster, agent: AgentProcess, id: number) {
  const command = master.commands.get(id);
  await until(() => (command?.results.length ?? 0) > 0, `the result of command ${id}`, agent.output);
  return command?.results[0];
}

/** A folder with four files of that many KiB together. */
export function sourceFolder(folder: string, kib: number): string {
  const source = join(folder, "source");
  mkdirSync(source);
  for (let file = 0; file < 4; file++) {
    writeFileSync(join(source, `file-${file}`), Buffer.alloc((kib * 1024) / 4, Math.random().toString()));
  }
  return source;
}
