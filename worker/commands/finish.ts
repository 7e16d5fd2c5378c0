import type { z } from "zod";
import type { agentApi } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { settleDeletion } from "../records/settle-deletion.ts";
import { abortUploads } from "../vault/abort-uploads.ts";
import { closeRunStatements } from "./close-run.ts";
import { type CommandRow, commandOfNode } from "./explain.ts";

type Result = z.output<typeof agentApi.commandResult.body>;

/**
 * Ends a command with its agent's result, and with it a record or restore that is still running because its own last
 * report was lost. The same result again changes nothing. One of an older attempt is refused; one that comes after the
 * command was given up is kept beside the time-out.
 */
export async function finishCommand(deps: Deps, node: AgentNode, id: number, result: Result): Promise<void> {
  const row = await commandOfNode(deps, node, id);
  if (result.leaseToken !== undefined && row.leaseToken !== null && result.leaseToken !== row.leaseToken) {
    throw new DomainError(
      "AGENT_COMMAND_SUPERSEDED",
      `command ${id} was handed out again: attempt ${row.attempt}`,
    );
  }
  if (row.status === "pending") {
    throw new DomainError("AGENT_COMMAND_SUPERSEDED", `command ${id} has not been handed out`);
  }
  const status = result.success ? "succeeded" : result.cancelled ? "cancelled" : "failed";
  if (row.status === "timeout") return keepLateResult(deps, row, result);
  const [ended] = await deps.db.batch([
    endStatement(deps, row, status, result),
    ...closeRunStatements(deps, row, status, result.errorMessage ?? ""),
  ]);
  if (ended?.meta.changes === 1) await afterwards(deps, row, result);
}

function endStatement(
  { db, now }: Deps,
  row: CommandRow,
  status: string,
  result: Result,
): D1PreparedStatement {
  return db
    .prepare(
      `update agent_commands set status = ?1, result = ?2, error_message = ?3, completed_at = ?4, updated_at = ?4
       where id = ?5 and status = 'dispatched' and lease_token is ?6`,
    )
    .bind(status, toJson(result.result), result.errorMessage ?? "", now(), row.id, row.leaseToken);
}

async function keepLateResult({ db, now }: Deps, row: CommandRow, result: Result): Promise<void> {
  await db
    .prepare(
      `update agent_commands set result = ?1, updated_at = ?2,
         error_message = error_message || case when ?3 = '' then '' else '; later: ' || ?3 end
       where id = ?4 and status = 'timeout' and result is null`,
    )
    .bind(toJson(result.result ?? { success: result.success }), now(), result.errorMessage ?? "", row.id)
    .run();
}

async function afterwards(deps: Deps, row: CommandRow, result: Result): Promise<void> {
  if ((row.type === "run_task" || row.type === "copy_record") && row.recordId !== null && !result.success) {
    await abortUploads(deps, row.recordId);
  }
  if (row.type === "delete_storage_object") {
    await settleDeletion(
      deps,
      row,
      result.success ? null : (result.errorMessage ?? "the agent gave no reason"),
    );
  }
}

const toJson = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
