import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import type { storageTargets } from "../db/schema.ts";

export type TargetRow = typeof storageTargets.$inferSelect;
export type ShownTarget = z.input<typeof objects.target>;

/** A target as people see it: of its secrets, the names. */
export function showTarget(row: TargetRow): ShownTarget {
  return {
    id: row.id,
    name: row.name,
    type: row.type as ShownTarget["type"],
    config: JSON.parse(row.config),
    secretsSet: JSON.parse(row.secretNames),
    quotaBytes: row.quotaBytes,
    usedBytes: row.usedBytes,
    bandwidthBytesPerSecond: row.bandwidthBytesPerSecond,
    lastTest: row.lastTest === null ? null : JSON.parse(row.lastTest),
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}
