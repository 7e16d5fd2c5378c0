import type { Deps } from "../deps.ts";
import { openSecrets } from "../secrets/sealed-fields.ts";
import { readTarget } from "./read.ts";

export type OpenedTarget = {
  id: number;
  type: string;
  name: string;
  /** Settings and secrets together, as agents take them. */
  config: Record<string, unknown>;
  transferMode: "direct" | "master_relay";
  quotaRemainingBytes: number | null;
  /** The target's own cap, which BackupX Go agents do not know. */
  bandwidthBytesPerSecond: number | null;
};

/**
 * A target as an agent gets it, secrets included. Only for a node that has a command for it in hand. Throws
 * STORAGE_TARGET_NOT_FOUND.
 */
export async function openTargetById(deps: Deps, id: number): Promise<OpenedTarget> {
  const row = await readTarget(deps, id);
  const config = { ...JSON.parse(row.config), ...(await openSecrets(deps, "storage_targets", row)) };
  return {
    id: row.id,
    type: row.type,
    name: row.name,
    config: { ...config, ...goNames(row.type, config) },
    transferMode: row.type === "vault" ? "master_relay" : "direct",
    quotaRemainingBytes: row.quotaBytes === null ? null : Math.max(0, row.quotaBytes - row.usedBytes),
    bandwidthBytesPerSecond: row.bandwidthBytesPerSecond,
  };
}

/** The settings that BackupX Go agents call differently; ours ignore what they do not know. */
function goNames(type: string, config: Record<string, unknown>): Record<string, unknown> {
  if (type === "local_disk") return { basePath: config["path"] };
  if (type === "s3") return { forcePathStyle: config["pathStyle"] };
  return {};
}
