import type { Agent, Held } from "../agent.ts";
import { interrupted } from "./execute.ts";
import { removeNotedCopy, removeNotedUpload } from "./far-remains.ts";
import { hooksFor } from "./hooks.ts";
import { messageOf } from "./outcome.ts";
import { removeOwnCopies } from "./own-copies.ts";
import { dropNotedDatabases } from "./unfinished-databases.ts";

/**
 * Ends a command that an earlier start of the agent left running: removes what it left behind and runs the hooks that
 * come after a failure, for what the one before has stopped must not stay stopped. It may be that they had been run
 * already. Then the journal says what the master is to be told.
 */
export async function recover(agent: Agent, { entry }: Held): Promise<void> {
  if (entry.state.name !== "started") return;
  const { ownCopies, hooks, upload, isFarCopy, restore } = entry.state;
  await removeOwnCopies(ownCopies);
  const said: string[] = [];
  if (hooks !== null) {
    try {
      const run = hooksFor(agent, hooks, (level, line) =>
        said.push(level === "info" ? line : `${level}: ${line}`),
      );
      await run.after({ status: "failed", errorMessage: "the agent was restarted while this was running" });
    } catch (error) {
      said.push(`error: ${messageOf(error)}`);
    }
  }
  const cleared = [
    ...(upload === null ? [] : await removeNotedUpload(agent, upload)),
    ...(isFarCopy ? await removeNotedCopy(agent, entry.id) : []),
    ...(restore === null ? [] : await dropNotedDatabases(agent, restore)),
  ];
  said.push(...cleared.map((line) => `warn: ${line}`));
  entry.state = { name: "finished", deliveries: interrupted(entry, said) };
  try {
    agent.journal.save(entry);
  } catch (error) {
    agent.log.error("cannot write the journal", { command: entry.id, reason: messageOf(error) });
  }
}
