import { auditIfChanged } from "../audit/entry.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { tallyIfChanged } from "../overview/tally.ts";
import { hashToken } from "../secrets/hash.ts";
import { type Actor, system } from "../users/actor.ts";
import { hashCode } from "./code.ts";
import { nodeNameTaken } from "./create-code.ts";
import { noteWrongCode, refuseGuesser } from "./slow-guesses.ts";

type Machine = { hostname: string; ipAddress: string };
type Code = { hash: string; nodeId: number | null; name: string; usedAt: number | null; expiresAt: number };
type Enrolled = { nodeId: number; name: string; token: string };

/**
 * Trades a single-use code for a token: makes the node that the code names, or turns the machine into the node that
 * the code is bound to, whose old tokens end at once. Of several uses at the same instant one wins. Throws
 * ENROLLMENT_CODE_INVALID, NAME_TAKEN when the name was given away since, TOO_MANY_REQUESTS to a guesser.
 */
export async function enroll(deps: Deps, typed: string, machine: Machine): Promise<Enrolled> {
  await refuseGuesser(deps, machine.ipAddress);
  const code = await findCode(deps, typed);
  if (!code) {
    await noteWrongCode(deps, machine.ipAddress);
    throw invalid("this enrolment code is unknown: was all of it copied?");
  }
  const token = deps.newToken();
  const tokenHash = await hashToken(token);
  const [, made] = await deps.db.batch<{ id: number; name: string }>([
    useStatement(deps, code, tokenHash),
    code.nodeId === null
      ? newNodeStatement(deps, code, tokenHash, machine)
      : becomeNodeStatement(deps, code, tokenHash, machine),
    auditIfChanged(deps, enroller(machine), {
      action: "node.enroll",
      entity: "node",
      entityId: code.nodeId,
      after: { name: code.name, hostname: machine.hostname },
    }),
    ...(code.nodeId === null ? [tallyIfChanged(deps, "nodes", 1)] : []),
  ]);
  const node = made?.results[0];
  if (!node) throw await whyNot(deps, code);
  // The machine that was this node until now has no business on its socket.
  if (code.nodeId !== null) await deps.bell.kick([code.nodeId]);
  return { nodeId: node.id, name: node.name, token };
}

const enroller = ({ ipAddress }: Machine): Actor => ({ ...system, name: "enrolment code", ipAddress });

async function findCode({ db }: Deps, typed: string): Promise<Code | null> {
  const hash = await hashCode(typed);
  if (hash === null) return null;
  return db
    .prepare(
      `select code_sha256 as hash, node_id as nodeId, name, used_at as usedAt, expires_at as expiresAt
       from install_codes where code_sha256 = ?`,
    )
    .bind(hash)
    .first<Code>();
}

/** The one statement that decides who wins. A code whose node is gone, or whose name is taken, is not used up. */
function useStatement({ db, now }: Deps, code: Code, tokenHash: string): D1PreparedStatement {
  return db
    .prepare(
      `update install_codes set used_at = ?1, used_token_sha256 = ?2
       where code_sha256 = ?3 and used_at is null and expires_at > ?1 and case
         when node_id is null then not exists (select 1 from nodes where nodes.name = install_codes.name)
         else exists (select 1 from nodes where nodes.id = install_codes.node_id) end`,
    )
    .bind(now(), tokenHash, code.hash);
}

function newNodeStatement({ db, now }: Deps, code: Code, tokenHash: string, machine: Machine) {
  return db
    .prepare(
      `insert into nodes (name, token_sha256, labels, hostname, ip_address, created_at, updated_at)
       select name, ?2, labels, ?3, ?4, ?5, ?5 from install_codes
       where code_sha256 = ?1 and used_token_sha256 = ?2
       returning id, name`,
    )
    .bind(code.hash, tokenHash, machine.hostname, machine.ipAddress, now());
}

/** What the machine before said of itself goes, so that the new one is not taken for it. */
function becomeNodeStatement({ db, now }: Deps, code: Code, tokenHash: string, machine: Machine) {
  return db
    .prepare(
      `update nodes set token_sha256 = ?2, previous_token_sha256 = null, previous_token_until = null,
         status = 'pending', connection = 'never', last_seen = null, hostname = ?3, ip_address = ?4, os = '',
         arch = '', agent_version = '', protocol_version = null, boot_id = null, previous_boot_id = null,
         clone_suspected_at = null, capabilities = null, free_disk_bytes = null, updated_at = ?5
       where id = (select node_id from install_codes where code_sha256 = ?1 and used_token_sha256 = ?2)
       returning id, name`,
    )
    .bind(code.hash, tokenHash, machine.hostname, machine.ipAddress, now());
}

async function whyNot({ db, now }: Deps, code: Code): Promise<DomainError> {
  const latest = await db
    .prepare("select used_at as usedAt from install_codes where code_sha256 = ?")
    .bind(code.hash)
    .first<{ usedAt: number | null }>();
  if (!latest) return invalid("the node of this enrolment code was deleted");
  if (latest.usedAt !== null) return invalid("this enrolment code was used already: make a new one");
  if (code.expiresAt <= now()) return invalid("this enrolment code has expired: make a new one");
  return nodeNameTaken(code.name);
}

const invalid = (message: string) => new DomainError("ENROLLMENT_CODE_INVALID", message);
