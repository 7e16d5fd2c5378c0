import { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import { runControlCommand } from "../commands/run-control-command.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { readNode } from "../nodes/read.ts";
import { isGoAgent } from "../tasks/can-run.ts";
import { checkVault } from "../vault/check.ts";
import { readTarget } from "./read.ts";
import type { TargetRow } from "./shown.ts";

type Test = z.output<typeof objects.targetTest>;

const outcome = z.object({ milliseconds: z.number().nonnegative() });
/** What tells something of the target; a node that is offline does not. */
const SAYS_SOMETHING = ["NODE_COMMAND_FAILED", "AGENT_COMMAND_TIMEOUT"];

/**
 * Has a node's agent write, read back and delete a small object; how long that took there. Waits for it, and keeps how
 * it went. The vault is the master's own: agents reach it only with a backup in hand, so there the master does the same
 * itself.
 */
export async function testTarget(
  deps: Deps,
  id: number,
  nodeId: number | null,
): Promise<{ milliseconds: number }> {
  const target = await readTarget(deps, id);
  const node = target.type === "vault" ? null : await readTester(deps, nodeId);
  const test = { at: deps.now(), nodeId: node?.id ?? null, nodeName: node?.name ?? null };
  try {
    const { milliseconds } = node ? await testFrom(deps, node.id, id) : await checkVault(deps);
    await keep(deps, target, { ...test, ok: true, milliseconds, message: "" });
    return { milliseconds };
  } catch (error) {
    if (error instanceof DomainError && SAYS_SOMETHING.includes(error.code))
      await keep(deps, target, { ...test, ok: false, milliseconds: null, message: error.message });
    throw error;
  }
}

async function readTester(deps: Deps, nodeId: number | null) {
  if (nodeId === null) throw new DomainError("INVALID_INPUT", "nodeId: says no node to test it from");
  const node = await readNode(deps, nodeId);
  if (!isGoAgent(node)) return node;
  throw new DomainError(
    "NODE_CANNOT_RUN_TASK",
    `${node.name} runs a BackupX Go agent, which cannot test a target: test it from a node with backupx-agent`,
  );
}

async function testFrom(deps: Deps, nodeId: number, targetId: number): Promise<{ milliseconds: number }> {
  const answer = outcome.safeParse(
    await runControlCommand(deps, { nodeId, type: "test_target", payload: { targetId } }),
  );
  if (!answer.success) throw new DomainError("NODE_COMMAND_FAILED", "the agent did not say how long it took");
  return { milliseconds: Math.round(answer.data.milliseconds) };
}

/** Kept with the settings that were tested, and only while they are these. */
async function keep({ db }: Deps, target: TargetRow, test: Test): Promise<void> {
  await db
    .prepare("update storage_targets set last_test = ? where id = ? and updated_at = ?")
    .bind(JSON.stringify(test), target.id, target.updatedAt)
    .run();
}
