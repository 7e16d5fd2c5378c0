import { z } from "zod";
import { objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { whyItCannotDiscover } from "../tasks/can-run.ts";
import { type Access, pendingAccess } from "../tasks/source-access.ts";
import { readNode } from "./read.ts";

type Discovered = { databases: z.output<typeof objects.foundDatabase>[]; complete: boolean };

/** Names are all that a BackupX Go agent knows; ours adds the sizes. */
const answer = z.object({
  databases: z.array(z.string()).nullish(),
  found: z.array(objects.foundDatabase).optional(),
  complete: z.boolean().default(true),
});

/** The databases of a server that the node reaches, or SQLite's in its files, asked of its agent; waits for it. */
export async function discoverDatabases(
  deps: Deps,
  nodeId: number,
  { server, ...access }: { server: objects.DatabasePlace } & Access,
): Promise<Discovered> {
  const obstacle = whyItCannotDiscover(await readNode(deps, nodeId), server.type);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", obstacle);
  const payload = { server, ...(await pendingAccess(deps, server, access)) };
  const parsed = answer.safeParse(await runControlCommand(deps, { nodeId, type: "discover_db", payload }));
  if (!parsed.success) {
    throw new DomainError("NODE_COMMAND_FAILED", "the agent's answer is not a list of databases");
  }
  const { databases, found, complete } = parsed.data;
  return {
    databases: found ?? (databases ?? []).map((name) => ({ name, sizeBytes: null })),
    complete,
  };
}
