import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { hashToken } from "../secrets/hash.ts";

/** The node behind a token, as much of it as every agent call needs. */
export type AgentNode = {
  id: number;
  name: string;
  status: "pending" | "online" | "offline";
  connection: "never" | "poll" | "socket";
  lastSeen: number | null;
  protocolVersion: number | null;
  bootId: string | null;
  maxConcurrent: number;
  /** What each of its jobs may move; null: no cap. */
  bandwidthBytesPerSecond: number | null;
  paused: boolean;
};

const columns = `id, name, status, connection, last_seen as lastSeen, protocol_version as protocolVersion,
  boot_id as bootId, max_concurrent as maxConcurrent, bandwidth_limit as bandwidthBytesPerSecond, paused`;

/**
 * The node that a token belongs to: one row read. The token before a rotation counts until its time is over. Throws
 * NODE_INVALID_TOKEN for any other.
 */
export async function authenticateAgent({ db, now }: Deps, token: string): Promise<AgentNode> {
  const hash = await hashToken(token);
  const row =
    (await db.prepare(`select ${columns} from nodes where token_sha256 = ?`).bind(hash).first<AgentRow>()) ??
    (await db
      .prepare(`select ${columns} from nodes where previous_token_sha256 = ? and previous_token_until > ?`)
      .bind(hash, now())
      .first<AgentRow>());
  if (!row) throw new DomainError("NODE_INVALID_TOKEN", "this agent's token is unknown, revoked or expired");
  return { ...row, paused: row.paused === 1 };
}

type AgentRow = Omit<AgentNode, "paused"> & { paused: number };
