import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { uniqueLabels } from "../nodes/create.ts";
import { noSuchNode } from "../nodes/status.ts";
import type { Actor } from "../users/actor.ts";
import { codeFrom, hashCode } from "./code.ts";

export type NewCode = { code: string; expiresAt: number };

/** Long enough to reach the machine and sign in there; whoever is later makes another. */
const VALID_MS = 60 * 60_000;
const MINUTE_MS = 60_000;
const CODES_PER_MINUTE = 5;

/**
 * A single-use code with which one machine becomes this node. Throws NODE_NOT_FOUND, and TOO_MANY_REQUESTS from the
 * sixth within a minute.
 */
export async function createNodeCode(deps: Deps, actor: Actor, nodeId: number): Promise<NewCode> {
  const made = await newCode(deps);
  const [inserted] = await deps.db.batch([
    deps.db
      .prepare(
        `insert into install_codes (code_sha256, node_id, name, labels, created_at, expires_at)
         select ?1, id, name, labels, ?2, ?3 from nodes where id = ?4 and ?6 > (
           select count(*) from install_codes where node_id = ?4 and created_at > ?5)`,
      )
      .bind(made.hash, deps.now(), made.expiresAt, nodeId, deps.now() - MINUTE_MS, CODES_PER_MINUTE),
    auditIfChanged(deps, actor, {
      action: "node.create_code",
      entity: "node",
      entityId: nodeId,
      after: { expiresAt: made.expiresAt },
    }),
  ]);
  if (inserted?.meta.changes !== 1) throw await whyNoCode(deps, nodeId);
  return { code: made.code, expiresAt: made.expiresAt };
}

/**
 * A single-use code that makes a node of this name when it is used. Throws NAME_TAKEN. Several may be open for one
 * name, since one can get lost; the first that is used wins.
 */
export async function createEnrollmentCode(
  deps: Deps,
  actor: Actor,
  wanted: { name: string; labels: string[] },
): Promise<NewCode> {
  const made = await newCode(deps);
  const { name } = wanted;
  const labels = uniqueLabels(wanted.labels);
  const [inserted] = await deps.db.batch([
    deps.db
      .prepare(
        `insert into install_codes (code_sha256, node_id, name, labels, created_at, expires_at)
         select ?1, null, ?2, ?3, ?4, ?5 where not exists (select 1 from nodes where name = ?2)`,
      )
      .bind(made.hash, name, JSON.stringify(labels), deps.now(), made.expiresAt),
    auditIfChanged(deps, actor, {
      action: "enrollment_code.create",
      entity: "enrollment_code",
      entityId: null,
      after: { name, labels, expiresAt: made.expiresAt },
    }),
  ]);
  if (inserted?.meta.changes !== 1) throw nodeNameTaken(name);
  return { code: made.code, expiresAt: made.expiresAt };
}

export const nodeNameTaken = (name: string) =>
  new DomainError(
    "NAME_TAKEN",
    `there already is a node named ${name}: choose another name, or make a code for that node`,
  );

async function newCode({ newToken, now }: Deps): Promise<NewCode & { hash: string }> {
  const code = codeFrom(newToken());
  return { code, hash: (await hashCode(code)) as string, expiresAt: now() + VALID_MS };
}

async function whyNoCode({ db }: Deps, nodeId: number): Promise<DomainError> {
  const node = await db.prepare("select name from nodes where id = ?").bind(nodeId).first<{ name: string }>();
  if (!node) return noSuchNode(nodeId);
  return new DomainError(
    "TOO_MANY_REQUESTS",
    `${CODES_PER_MINUTE} codes were made for ${node.name} within a minute; wait a little`,
    { retryAfterSeconds: MINUTE_MS / 1000 },
  );
}
