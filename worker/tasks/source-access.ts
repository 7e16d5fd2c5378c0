import { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { readTask } from "./read.ts";
import { openSourceSecrets, requireSameServer, type SourceSecrets, sentSecrets } from "./secrets.ts";

type Asked = objects.Source | objects.DatabasePlace;
/** Where the secrets of somebody's question come from: sent with it, or sealed with a task. */
export type Access = { secrets: Record<string, unknown>; taskId: number | null };

/** What a queued question carries in place of its secrets: a task's id, or what only this very question can open. */
type Pending = { taskId: number } | { sealed: string; sealId: string };

const place = (sealId: string) => `agent_commands:${sealId}`;

/**
 * What a command that asks for a source may hold while it waits: nothing in the open. Throws INVALID_INPUT when a
 * task's secrets are wanted for another server than the task's.
 */
export async function pendingAccess(deps: Deps, asked: Asked, access: Access): Promise<Pending> {
  if (access.taskId !== null) {
    if (Object.keys(access.secrets).length > 0) {
      throw new DomainError("INVALID_INPUT", "secrets: give either these or a taskId, not both");
    }
    const task = await readTask(deps, access.taskId);
    requireSameServer(objects.source.parse(task.source), asked);
    return { taskId: access.taskId };
  }
  const sealId = deps.newToken();
  const sealed = await deps.sealer.seal(place(sealId), sentSecrets(asked, access.secrets));
  return { sealed, sealId };
}

/** The secrets of such a command, opened for the node that has just been handed it. */
export async function openAccess(
  deps: Deps,
  asked: Asked,
  pending: Record<string, unknown>,
): Promise<SourceSecrets> {
  const { taskId, sealed, sealId } = pending;
  if (typeof sealed === "string" && typeof sealId === "string") {
    return sentSecrets(asked, withoutNulls(await deps.sealer.open(place(sealId), sealed)));
  }
  if (typeof taskId !== "number") return sentSecrets(asked, {});
  const task = await deps.db
    .prepare("select seal_id as sealId, secrets, source from backup_tasks where id = ?")
    .bind(taskId)
    .first<{ sealId: string; secrets: string | null; source: string }>();
  return task ? openSourceSecrets(deps, task, asked) : sentSecrets(asked, {});
}

/** Removes what was sealed for a question that has been answered, or that nobody waits for any more. */
export async function forgetAccess({ db }: Deps, commandId: number): Promise<void> {
  await db
    .prepare("update agent_commands set payload = json_remove(payload, '$.sealed', '$.sealId') where id = ?")
    .bind(commandId)
    .run();
}

const withoutNulls = (secrets: unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(secrets as object).filter(([, value]) => value !== null));
