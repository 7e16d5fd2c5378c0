import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { type Able, whyItCannotEncrypt, whyItHasNoRestic } from "../tasks/can-run.ts";

export type ReadingNode = Able & { id: number };

/** The node that is to read a record: the one named, or else the record's own. Throws NODE_NOT_FOUND. */
export async function readingNode({ db }: Deps, id: number | null): Promise<ReadingNode> {
  const node = await db
    .prepare(
      `select id, name, last_seen as lastSeen, protocol_version as protocolVersion, capabilities
       from nodes where id = ?`,
    )
    .bind(id)
    .first<ReadingNode>();
  if (node) return node;
  throw new DomainError("NODE_NOT_FOUND", `there is no node ${id ?? "of this record any more"}: name one`);
}

/** Throws NODE_CANNOT_RUN_TASK when this node cannot open what was encrypted, or what restic has made. */
export function requireOpener(node: Able, made: { encrypted: boolean; byRestic: boolean }): void {
  const locked = made.encrypted ? whyItCannotEncrypt(node) : null;
  if (locked) throw new DomainError("NODE_CANNOT_RUN_TASK", `this backup is encrypted: ${locked}`);
  const unopened = made.byRestic ? whyItHasNoRestic(node) : null;
  if (unopened) throw new DomainError("NODE_CANNOT_RUN_TASK", `restic has made this backup: ${unopened}`);
}
