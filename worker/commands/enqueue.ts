import { states } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

export type NewCommand = {
  nodeId: number;
  type: states.CommandType;
  /** Holds no secret: see deliver.ts for what is added when it is handed out. */
  payload: Record<string, unknown>;
  recordId?: number;
  /** Not handed out before this time. */
  notBefore?: number;
};

/** The statement that queues a command, for a batch; nothing when the node is gone. Ring after the commit. */
export function enqueueStatement({ db, now }: Deps, command: NewCommand): D1PreparedStatement {
  return db
    .prepare(
      `insert into agent_commands (node_id, type, lane, payload, record_id, not_before, created_at, updated_at)
       select id, ?2, ?3, ?4, ?5, ?6, ?7, ?7 from nodes where id = ?1 returning id`,
    )
    .bind(
      command.nodeId,
      command.type,
      states.laneOf[command.type],
      JSON.stringify(command.payload),
      command.recordId ?? null,
      command.notBefore ?? null,
      now(),
    );
}
