import { type DeliveredCommand, objects, timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { taskOfSnapshot } from "../records/object-key.ts";
import { lowerCap } from "../targets/lower-cap.ts";
import { openTargetById } from "../targets/open-target.ts";
import { portOf } from "../tasks/database-port.ts";
import { resticPasswordOf } from "../tasks/secrets.ts";
import { openAccess } from "../tasks/source-access.ts";
import type { TakenCommand } from "./take.ts";

/** A claimed command as it goes over the wire: with its target's or source's secrets opened, if it works on one. */
export async function deliver(
  deps: Deps,
  node: AgentNode,
  taken: TakenCommand,
  withLease: boolean,
): Promise<DeliveredCommand> {
  return {
    id: taken.id,
    type: taken.type,
    payload: await completePayload(deps, node, taken, withLease),
    ...(withLease && {
      attempt: taken.attempt,
      leaseToken: taken.leaseToken,
      leaseSeconds: timing.leaseSeconds,
    }),
  };
}

async function completePayload(
  deps: Deps,
  node: AgentNode,
  taken: TakenCommand,
  toOurs: boolean,
): Promise<Record<string, unknown>> {
  const payload = JSON.parse(taken.payload) as Record<string, unknown>;
  if (taken.type === "discover_db") return discoveryPayload(deps, payload, toOurs);
  if (taken.type === "preview_source") {
    const source = objects.source.parse(payload["source"]);
    return { source, sourceSecrets: await openAccess(deps, source, payload) };
  }
  const targetId = payload["targetId"];
  if (typeof targetId !== "number") return payload;
  const target = await openTargetById(deps, targetId);
  const opened = {
    ...payload,
    targetType: target.type,
    targetConfig: target.config,
    bandwidthBytesPerSecond: lowerCap(node.bandwidthBytesPerSecond, target.bandwidthBytesPerSecond),
  };
  const storagePath = payload["storagePath"];
  const taskId = typeof storagePath === "string" ? taskOfSnapshot(storagePath) : null;
  return taskId === null ? opened : { ...opened, resticPassword: await resticPasswordOf(deps, taskId) };
}

/** The fields that BackupX Go agents know, and for ours the server with all its settings. */
async function discoveryPayload(
  deps: Deps,
  payload: Record<string, unknown>,
  toOurs: boolean,
): Promise<Record<string, unknown>> {
  const server = objects.databasePlaces.parse(payload["server"]);
  if (server.type === "sqlite") return { type: server.type, server };
  const { password } = await openAccess(deps, server, payload);
  const { type, host, user } = server;
  const known = { type, host, port: portOf(server), user, password: password ?? "" };
  return toOurs ? { ...known, server } : known;
}
