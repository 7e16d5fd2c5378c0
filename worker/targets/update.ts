import type { states } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { mergeSettings, openSecrets, sealSecrets } from "../secrets/sealed-fields.ts";
import type { Actor } from "../users/actor.ts";
import { targetNameTaken } from "./create.ts";
import { holdsNothing, targetInUse } from "./in-use.ts";
import { getTarget, readTarget } from "./read.ts";
import { parseConfig, parseSecrets } from "./settings.ts";
import { type ShownTarget, showTarget, type TargetRow } from "./shown.ts";

export type TargetChanges = {
  name?: string | undefined;
  config?: Record<string, unknown> | undefined;
  secrets?: Record<string, unknown> | undefined;
  quotaBytes?: number | null | undefined;
  bandwidthBytesPerSecond?: number | null | undefined;
};

/**
 * The settings that say where a target's objects are. An endpoint is not among them: the same storage may well get
 * another address, and a restore checks what it reads.
 */
const WHERE_OBJECTS_ARE = ["path", "bucket", "prefix", "account", "container", "remote"];
const ATTEMPTS = 3;

/**
 * Changes what was sent and keeps the rest; null takes an optional setting or secret away. Throws
 * STORAGE_TARGET_IN_USE for another path, bucket or prefix while copies lie under the old one: they would be lost to
 * every restore.
 */
export async function updateTarget(
  deps: Deps,
  actor: Actor,
  id: number,
  changes: TargetChanges,
): Promise<ShownTarget> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const row = await readTarget(deps, id);
    const next = await changed(deps, row, changes);
    if (await write(deps, actor, row, next)) return getTarget(deps, id);
    if (next.moves) await refuseIfInUse(deps, row);
  }
  throw new DomainError("MASTER_OVERLOADED", "this target is being changed by others; try again in a moment");
}

type Next = Pick<
  TargetRow,
  "name" | "config" | "secrets" | "secretNames" | "quotaBytes" | "bandwidthBytesPerSecond"
> & {
  moves: boolean;
  replacedSecrets: string[];
};

async function changed(deps: Deps, row: TargetRow, changes: TargetChanges): Promise<Next> {
  const type = row.type as states.TargetType;
  const old = JSON.parse(row.config);
  const config = parseConfig(type, mergeSettings(old, changes.config));
  return {
    name: changes.name ?? row.name,
    config: JSON.stringify(config),
    ...(await changedSecrets(deps, row, changes.secrets)),
    quotaBytes: changes.quotaBytes === undefined ? row.quotaBytes : changes.quotaBytes,
    bandwidthBytesPerSecond:
      changes.bandwidthBytesPerSecond === undefined
        ? row.bandwidthBytesPerSecond
        : changes.bandwidthBytesPerSecond,
    moves: WHERE_OBJECTS_ARE.some((field) => old[field] !== config[field]),
    replacedSecrets: Object.keys(changes.secrets ?? {}).sort(),
  };
}

/** Secrets that are all sent anew need no opening, so a target can be mended after the master's key was lost. */
async function changedSecrets(deps: Deps, row: TargetRow, sent: Record<string, unknown> | undefined) {
  if (!sent) return { secrets: row.secrets, secretNames: row.secretNames };
  const set: string[] = JSON.parse(row.secretNames);
  const allSent = set.every((name) => Object.hasOwn(sent, name));
  const merged = mergeSettings(allSent ? {} : await openSecrets(deps, "storage_targets", row), sent);
  return sealSecrets(
    deps,
    "storage_targets",
    row.sealId,
    parseSecrets(row.type as states.TargetType, merged),
  );
}

/** Writes unless somebody else has changed what the new values were made from; says whether it did. */
async function write(deps: Deps, actor: Actor, row: TargetRow, next: Next): Promise<boolean> {
  const { db, now } = deps;
  const [updated] = await db
    .batch([
      db
        .prepare(
          `update storage_targets set name = ?2, config = ?3, secrets = ?4, secret_names = ?5, quota_bytes = ?6,
             bandwidth_limit = ?13, updated_at = ?7, last_test = case when config = ?3 and secrets is ?4 then last_test end
           where id = ?1 and name = ?8 and config = ?9 and secrets is ?10 and quota_bytes is ?11
             and bandwidth_limit is ?14
             and (?12 = 0 or (${holdsNothing}))`,
        )
        .bind(
          row.id,
          next.name,
          next.config,
          next.secrets,
          next.secretNames,
          next.quotaBytes,
          now(),
          row.name,
          row.config,
          row.secrets,
          row.quotaBytes,
          Number(next.moves),
          next.bandwidthBytesPerSecond,
          row.bandwidthBytesPerSecond,
        ),
      auditIfChanged(deps, actor, {
        action: "storage_target.update",
        entity: "storage_target",
        entityId: row.id,
        before: auditedOf(row),
        after: { ...auditedOf({ ...row, ...next }), replacedSecrets: next.replacedSecrets },
      }),
    ])
    .catch((error: unknown) => {
      throw violates(error, "storage_targets.name") ? targetNameTaken(next.name) : error;
    });
  return updated?.meta.changes === 1;
}

async function refuseIfInUse(deps: Deps, row: TargetRow): Promise<void> {
  const held = await deps.db
    .prepare(`select not (${holdsNothing}) as held`)
    .bind(row.id)
    .first<{ held: number }>();
  if (held?.held === 1) throw await targetInUse(deps, row, "move to another path, bucket or prefix");
}

function auditedOf(row: TargetRow) {
  const { name, config, secretsSet, quotaBytes, bandwidthBytesPerSecond } = showTarget(row);
  return { name, config, secretsSet, quotaBytes, bandwidthBytesPerSecond };
}
