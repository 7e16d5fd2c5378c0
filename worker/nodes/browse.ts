import { z } from "zod";
import { objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";

type Entry = z.output<typeof objects.directoryEntry>;

/** A BackupX Go agent of the first generation answers `null` for an empty directory. */
const listing = z.object({ entries: z.array(objects.directoryEntry).nullish() });

/** Lists a directory of a node, asked of its agent; waits for it. */
export async function browseNode(deps: Deps, nodeId: number, path: string): Promise<Entry[]> {
  const answer = listing.safeParse(
    await runControlCommand(deps, { nodeId, type: "list_dir", payload: { path } }),
  );
  if (!answer.success) {
    throw new DomainError("NODE_COMMAND_FAILED", "the agent's answer is not a directory listing");
  }
  return answer.data.entries ?? [];
}
