import { z } from "zod";
import { objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Listing = { entries: z.output<typeof objects.directoryEntry>[]; truncated: boolean };

/** A BackupX Go agent of the first generation answers `null` for an empty directory. */
const listing = z.object({
  entries: z.array(objects.directoryEntry).nullish(),
  truncated: z.boolean().default(false),
});

/** Lists a directory of a node, asked of its agent; waits for it. */
export async function browseNode(deps: Deps, nodeId: number, path: string): Promise<Listing> {
  const answer = listing.safeParse(
    await runControlCommand(deps, { nodeId, type: "list_dir", payload: { path } }),
  );
  if (!answer.success) {
    throw new DomainError("NODE_COMMAND_FAILED", "the agent's answer is not a directory listing");
  }
  return { entries: answer.data.entries ?? [], truncated: answer.data.truncated };
}
