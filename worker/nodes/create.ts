import type { Deps } from "../deps.ts";
import { DomainError, violates } from "../errors.ts";
import { tallyIfChanged } from "../overview/tally.ts";
import { hashToken } from "../secrets/hash.ts";
import type { Actor } from "../users/actor.ts";
import { readNodes } from "./read.ts";
import { type ShownNode, showNodes } from "./shown.ts";

export type NewNode = {
  name: string;
  labels?: string[] | undefined;
  maxConcurrent?: number | undefined;
  bandwidthBytesPerSecond?: number | null | undefined;
};
export type CreatedNode = { node: ShownNode; token: string };

/**
 * Adds nodes, all or none, and tells each one's token this once: only its hash is kept. Throws NAME_TAKEN with the
 * names that exist, INVALID_INPUT when a name comes twice.
 */
export async function createNodes(deps: Deps, actor: Actor, wanted: NewNode[]): Promise<CreatedNode[]> {
  refuseRepeats(wanted);
  const made = await Promise.all(
    wanted.map(async (node) => {
      const token = deps.newToken();
      return { node, token, hash: await hashToken(token) };
    }),
  );
  const hashes = JSON.stringify(made.map(({ hash }) => hash));
  const [inserted] = await deps.db
    .batch<{ id: number }>([
      insertStatement(deps, made),
      auditStatementOf(deps, actor, hashes),
      tallyIfChanged(deps, "nodes", made.length),
    ])
    .catch(async (error: unknown) => {
      throw violates(error, "nodes.name") ? await namesTaken(deps, wanted) : error;
    });
  const tokenOf = new Map(made.map(({ node, token }) => [node.name, token]));
  const shown = await showNodes(
    deps,
    await readNodes(
      deps,
      (inserted?.results ?? []).map(({ id }) => id),
    ),
  );
  return shown.map((node) => ({ node, token: tokenOf.get(node.name) as string }));
}

function refuseRepeats(wanted: NewNode[]): void {
  const seen = new Set<string>();
  for (const { name } of wanted) {
    if (seen.has(name)) throw new DomainError("INVALID_INPUT", `names: ${name} is there twice`);
    seen.add(name);
  }
}

function insertStatement({ db, now }: Deps, made: { node: NewNode; hash: string }[]): D1PreparedStatement {
  const rows = made.map(({ node, hash }) => ({
    name: node.name,
    hash,
    labels: JSON.stringify(uniqueLabels(node.labels ?? [])),
    maxConcurrent: node.maxConcurrent ?? 1,
    bandwidth: node.bandwidthBytesPerSecond ?? null,
  }));
  return db
    .prepare(
      `insert into nodes (name, token_sha256, labels, max_concurrent, bandwidth_limit, created_at, updated_at)
       select value ->> 'name', value ->> 'hash', value ->> 'labels', value ->> 'maxConcurrent',
         value ->> 'bandwidth', ?2, ?2
       from json_each(?1) order by key
       returning id`,
    )
    .bind(JSON.stringify(rows), now());
}

/** One entry for each node in one statement: the number of statements per request is limited. */
function auditStatementOf({ db, now }: Deps, actor: Actor, hashes: string): D1PreparedStatement {
  return db
    .prepare(
      `insert into audit_logs (at, actor, action, entity, entity_id, after, ip_address)
       select ?2, ?3, 'node.create', 'node', id, json_object('name', name, 'labels', json(labels),
         'maxConcurrent', max_concurrent, 'bandwidthBytesPerSecond', bandwidth_limit), ?4
       from nodes where token_sha256 in (select value from json_each(?1)) order by id`,
    )
    .bind(hashes, now(), actor.name, actor.ipAddress);
}

async function namesTaken({ db }: Deps, wanted: NewNode[]): Promise<DomainError> {
  const { results } = await db
    .prepare("select name from nodes where name in (select value from json_each(?)) order by name")
    .bind(JSON.stringify(wanted.map(({ name }) => name)))
    .all<{ name: string }>();
  const names = results.map(({ name }) => name).join(", ");
  return new DomainError("NAME_TAKEN", `there already is a node named ${names || "like one of these"}`);
}

export const uniqueLabels = (labels: string[]) => [...new Set(labels)];
