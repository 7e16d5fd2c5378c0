import type { states } from "../../protocol/index.ts";
import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { sealSecrets } from "../secrets/sealed-fields.ts";
import type { Actor } from "../users/actor.ts";
import { getTarget } from "./read.ts";
import { parseConfig, parseSecrets } from "./settings.ts";
import type { ShownTarget } from "./shown.ts";

export type NewTarget = {
  name: string;
  type: states.TargetType;
  config: Record<string, unknown>;
  secrets: Record<string, unknown>;
  quotaBytes: number | null;
  bandwidthBytesPerSecond: number | null;
};

/** Adds a storage target; its secrets are sealed before they are stored. Throws NAME_TAKEN, INVALID_INPUT. */
export async function createTarget(deps: Deps, actor: Actor, wanted: NewTarget): Promise<ShownTarget> {
  const config = parseConfig(wanted.type, wanted.config);
  const sealId = deps.newToken();
  const sealed = await sealSecrets(
    deps,
    "storage_targets",
    sealId,
    parseSecrets(wanted.type, wanted.secrets),
  );
  const { name, type, quotaBytes, bandwidthBytesPerSecond } = wanted;
  const [inserted] = await deps.db
    .batch<{ id: number }>([
      deps.db
        .prepare(
          `insert into storage_targets
             (name, type, config, secrets, secret_names, seal_id, quota_bytes, bandwidth_limit, created_at, updated_at)
           values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) returning id`,
        )
        .bind(
          name,
          type,
          JSON.stringify(config),
          sealed.secrets,
          sealed.secretNames,
          sealId,
          quotaBytes,
          bandwidthBytesPerSecond,
          deps.now(),
        ),
      auditIfChanged(deps, actor, {
        action: "storage_target.create",
        entity: "storage_target",
        entityId: null,
        after: {
          name,
          type,
          config,
          quotaBytes,
          bandwidthBytesPerSecond,
          secretsSet: JSON.parse(sealed.secretNames),
        },
      }),
    ])
    .catch((error: unknown) => {
      throw violates(error, "storage_targets.name") ? targetNameTaken(name) : error;
    });
  return getTarget(deps, inserted?.results[0]?.id as number);
}

export const targetNameTaken = (name: string) =>
  new DomainError("NAME_TAKEN", `there already is a storage target named ${name}`);
