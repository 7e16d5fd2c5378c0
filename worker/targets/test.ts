import { z } from "zod";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { readNode } from "../nodes/read.ts";
import { isGoAgent } from "../tasks/can-run.ts";
import { checkVault } from "../vault/check.ts";
import { readTarget } from "./read.ts";

const outcome = z.object({ milliseconds: z.number().nonnegative() });

/**
 * Has a node's agent write, read back and delete a small object; how long that took there. Waits for it. The vault is
 * the master's own: agents reach it only with a backup in hand, so there the master does the same itself.
 */
export async function testTarget(deps: Deps, id: number, nodeId: number): Promise<{ milliseconds: number }> {
  const target = await readTarget(deps, id);
  if (target.type === "vault") return checkVault(deps);
  const node = await readNode(deps, nodeId);
  if (isGoAgent(node)) {
    throw new DomainError(
      "NODE_CANNOT_RUN_TASK",
      `${node.name} runs a BackupX Go agent, which cannot test a target: test it from a node with backupx-agent`,
    );
  }
  const answer = outcome.safeParse(
    await runControlCommand(deps, { nodeId, type: "test_target", payload: { targetId: id } }),
  );
  if (!answer.success) throw new DomainError("NODE_COMMAND_FAILED", "the agent did not say how long it took");
  return { milliseconds: Math.round(answer.data.milliseconds) };
}
