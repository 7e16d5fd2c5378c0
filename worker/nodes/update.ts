import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import type { Actor } from "../users/actor.ts";
import { uniqueLabels } from "./create.ts";
import { readNode } from "./read.ts";
import { type NodeRow, type ShownNode, showNodes } from "./shown.ts";
import { noSuchNode } from "./status.ts";

export type NodeChanges = {
  name?: string | undefined;
  labels?: string[] | undefined;
  maxConcurrent?: number | undefined;
  bandwidthBytesPerSecond?: number | null | undefined;
  paused?: boolean | undefined;
};

/** Changes what was given and leaves the rest. Its agent is rung, so that a pause or its end takes effect at once. */
export async function updateNode(
  deps: Deps,
  actor: Actor,
  id: number,
  changes: NodeChanges,
): Promise<ShownNode> {
  const before = await readNode(deps, id);
  const [updated] = await deps.db
    .batch([
      updateStatement(deps, id, changes),
      auditIfChanged(deps, actor, {
        action: "node.update",
        entity: "node",
        entityId: id,
        before: settingsOf(before),
        after: { ...settingsOf(before), ...changes },
      }),
    ])
    .catch((error: unknown) => {
      throw violates(error, "nodes.name")
        ? new DomainError("NAME_TAKEN", `there already is a node named ${changes.name}`)
        : error;
    });
  if (updated?.meta.changes !== 1) throw noSuchNode(id);
  if (changes.paused !== undefined) await deps.bell.ring([id]);
  const [shown] = await showNodes(deps, [await readNode(deps, id)]);
  return shown as ShownNode;
}

function updateStatement({ db, now }: Deps, id: number, changes: NodeChanges): D1PreparedStatement {
  return db
    .prepare(
      `update nodes set name = coalesce(?2, name), labels = coalesce(?3, labels),
         max_concurrent = coalesce(?4, max_concurrent), paused = coalesce(?5, paused),
         bandwidth_limit = case when ?6 then ?7 else bandwidth_limit end, updated_at = ?8
       where id = ?1`,
    )
    .bind(
      id,
      changes.name ?? null,
      changes.labels === undefined ? null : JSON.stringify(uniqueLabels(changes.labels)),
      changes.maxConcurrent ?? null,
      changes.paused === undefined ? null : Number(changes.paused),
      Number(changes.bandwidthBytesPerSecond !== undefined),
      changes.bandwidthBytesPerSecond ?? null,
      now(),
    );
}

const settingsOf = (row: NodeRow) => ({
  name: row.name,
  labels: JSON.parse(row.labels),
  maxConcurrent: row.maxConcurrent,
  bandwidthBytesPerSecond: row.bandwidthBytesPerSecond,
  paused: row.paused,
});
