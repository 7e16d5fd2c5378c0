import { objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { isGoAgent, whyItCannotRead } from "../tasks/can-run.ts";
import { type Access, pendingAccess } from "../tasks/source-access.ts";
import { readNode } from "./read.ts";

/** What a backup of this source would read on the node now, asked of its agent; waits for it. */
export async function previewSource(
  deps: Deps,
  nodeId: number,
  { source, ...access }: { source: objects.Source } & Access,
): Promise<objects.SourcePreview> {
  const node = await readNode(deps, nodeId);
  if (isGoAgent(node)) {
    throw new DomainError(
      "NODE_CANNOT_RUN_TASK",
      `${node.name} runs a BackupX Go agent, which cannot tell what it would read: install backupx-agent on it`,
    );
  }
  const obstacle = whyItCannotRead(node, source.type);
  if (obstacle) throw new DomainError("NODE_CANNOT_RUN_TASK", obstacle);
  const payload = { source, ...(await pendingAccess(deps, source, access)) };
  const answer = objects.sourcePreview.safeParse(
    await runControlCommand(deps, { nodeId, type: "preview_source", payload }),
  );
  if (!answer.success) {
    throw new DomainError("NODE_COMMAND_FAILED", "the agent's answer does not tell what it would read");
  }
  return answer.data;
}
