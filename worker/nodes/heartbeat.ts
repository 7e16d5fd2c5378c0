import type { z } from "zod";
import { type agentApi, protocolRange } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { noNews } from "../live/news.ts";
import { cameOnlineStatement } from "../notify/came-online.ts";
import type { AgentNode } from "./authenticate.ts";

type Report = z.output<typeof agentApi.heartbeat.body>;

const HOUR_MS = 3_600_000;

/** Sets the node online and updates what the agent said of it; what it did not say stays. */
export async function heartbeat(deps: Deps, node: AgentNode, report: Report): Promise<void> {
  requireProtocol(report.protocolVersion);
  await deps.db.batch([
    ...(node.status === "online" ? [] : [cameOnlineStatement(deps, node.id)]),
    ...suspectClone(deps, node, report.bootId),
    updateStatement(deps, node, report),
  ]);
}

function requireProtocol(version: number | undefined): void {
  const { oldest, newest } = protocolRange;
  const range = `this master speaks protocol versions ${oldest} to ${newest}`;
  if (version !== undefined && version < oldest) {
    throw new DomainError(
      "AGENT_TOO_OLD",
      `agent protocol ${version} is too old: ${range}; update the agent`,
    );
  }
  if (version !== undefined && version > newest) {
    throw new DomainError(
      "AGENT_TOO_NEW",
      `agent protocol ${version} is too new: ${range}; update the master`,
    );
  }
}

function updateStatement({ db, now }: Deps, node: AgentNode, report: Report): D1PreparedStatement {
  const said = {
    hostname: report.hostname,
    ip_address: report.ipAddress,
    agent_version: report.agentVersion,
    os: report.os,
    arch: report.arch,
    protocol_version: report.protocolVersion,
    capabilities: report.capabilities && JSON.stringify(report.capabilities),
    free_disk_bytes: report.freeDiskBytes === undefined ? undefined : Math.floor(report.freeDiskBytes),
  };
  const columns = Object.entries(said).filter(([, value]) => value !== undefined);
  const sets = [
    "last_seen = ?1",
    "status = 'online'",
    "connection = case connection when 'never' then 'poll' else connection end",
    ...columns.map(([column], index) => `${column} = ?${index + 3}`),
  ];
  const update = `update nodes set ${sets.join(", ")} where id = ?2`;
  return db
    .prepare(noNews(update, node.status === "online"))
    .bind(now(), node.id, ...columns.map(([, value]) => value));
}

/**
 * Each start of an agent has a new boot id. One that comes back after another was seen is a second machine living on
 * the same token, e.g. a cloned disk; it is told once an hour.
 */
function suspectClone({ db, now }: Deps, node: AgentNode, bootId: string | undefined): D1PreparedStatement[] {
  if (bootId === undefined || bootId === node.bootId) return [];
  const at = now();
  return [
    db
      .prepare(
        `insert into notifications (at, kind, node_id, message, details)
         select ?1, 'token_used_twice', id,
           'two machines use the token of ' || name || ' (last seen as ' || hostname || '): enrol one of them anew',
           json_object('name', name, 'hostname', hostname)
         from nodes where id = ?2 and previous_boot_id = ?3 and coalesce(clone_suspected_at, 0) < ?4`,
      )
      .bind(at, node.id, bootId, at - HOUR_MS),
    db
      .prepare(
        `update nodes set
           clone_suspected_at = case
             when previous_boot_id = ?3 and coalesce(clone_suspected_at, 0) < ?4 then ?1 else clone_suspected_at end,
           previous_boot_id = boot_id, boot_id = ?3
         where id = ?2 and boot_id is not ?3`,
      )
      .bind(at, node.id, bootId, at - HOUR_MS),
  ];
}
