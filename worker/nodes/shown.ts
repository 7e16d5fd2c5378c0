import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";
import type { nodes } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { capabilitiesOf } from "../tasks/can-run.ts";
import { presenceOf } from "./status.ts";

export type NodeRow = typeof nodes.$inferSelect;
export type ShownNode = z.input<typeof objects.node>;

/** Rows as people see them, with their status of this moment; one question to the Doorbell for all. */
export async function showNodes(deps: Deps, rows: NodeRow[]): Promise<ShownNode[]> {
  const presence = await presenceOf(deps, rows);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    status: presence.get(row.id)?.status ?? "pending",
    connection: row.connection as ShownNode["connection"],
    lastSeen: presence.get(row.id)?.lastSeen ?? null,
    hostname: row.hostname,
    ipAddress: row.ipAddress,
    os: row.os,
    arch: row.arch,
    agentVersion: row.agentVersion,
    protocolVersion: row.protocolVersion,
    labels: JSON.parse(row.labels),
    paused: row.paused,
    maxConcurrent: row.maxConcurrent,
    bandwidthBytesPerSecond: row.bandwidthBytesPerSecond,
    freeDiskBytes: row.freeDiskBytes,
    capabilities: row.capabilities === null ? null : capabilitiesOf(row.capabilities),
    cloneSuspectedAt: row.cloneSuspectedAt,
    createdAt: row.createdAt,
  }));
}
