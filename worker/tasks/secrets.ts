import { objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { parseSettings } from "../secrets/parse-settings.ts";
import { mergeSettings, openSecrets, type SealedFields, sealSecrets } from "../secrets/sealed-fields.ts";

type Secrets = Record<string, unknown>;
export type SealedTask = SealedFields & { sealId: string };
/** A source's secrets as agents get them. */
export type SourceSecrets = { password: string | null; resticPassword: string | null };

/** The columns for a new task's secrets. Throws INVALID_INPUT for one that its source does not have. */
export async function sealNew(deps: Deps, source: objects.Source, sent: Secrets): Promise<SealedTask> {
  const sealId = deps.newToken();
  return { sealId, ...(await sealSecrets(deps, "backup_tasks", sealId, parseSecrets(source, sent))) };
}

/**
 * The columns after a change: what is not sent is kept, null takes a secret away, and so does a source that has no such
 * secret. What was sealed for one server is not handed to another: then it must be sent again.
 */
export async function sealChanged(
  deps: Deps,
  row: SealedTask & { source: objects.Source },
  source: objects.Source,
  sent: Secrets | undefined,
): Promise<SealedTask> {
  const set: string[] = JSON.parse(row.secretNames);
  const kept = set.filter((name) => Object.hasOwn(objects.sourceSecrets[source.type].shape, name));
  const asked = kept.filter((name) => !Object.hasOwn(sent ?? {}, name));
  if (asked.length > 0 && !isSameServer(row.source, source)) {
    throw invalid(`secrets.${asked[0]}: was given for another server or user: give it again, or remove it`);
  }
  const unchanged = sent === undefined && kept.length === set.length;
  if (unchanged) return { sealId: row.sealId, secrets: row.secrets, secretNames: row.secretNames };
  const old = asked.length > 0 ? await openSecrets(deps, "backup_tasks", row) : {};
  const merged = mergeSettings(pick(old, asked), sent);
  const sealId = row.sealId || deps.newToken();
  return { sealId, ...(await sealSecrets(deps, "backup_tasks", sealId, parseSecrets(source, merged))) };
}

/**
 * What a task has sealed for its source, in the open, if `source` is the same server: a record keeps the source it was
 * made from, and the task may have moved on. Only for a node that has a command for it in hand.
 */
export async function openSourceSecrets(
  deps: Deps,
  task: { sealId: string; secrets: string | null; source: string },
  source: objects.Source | objects.DatabasePlace,
): Promise<SourceSecrets> {
  if (!isSameServer(objects.source.parse(JSON.parse(task.source)), source)) return asSourceSecrets({});
  return asSourceSecrets(await openSecrets(deps, "backup_tasks", task));
}

/** What opens the repositories of a task; null for one that has no such secret, or is gone. */
export async function resticPasswordOf(deps: Deps, taskId: number): Promise<string | null> {
  const row = await deps.db
    .prepare("select seal_id as sealId, secrets from backup_tasks where id = ?")
    .bind(taskId)
    .first<{ sealId: string; secrets: string | null }>();
  return row ? asSourceSecrets(await openSecrets(deps, "backup_tasks", row)).resticPassword : null;
}

/** Secrets that were sent for a source or a server, as agents get them. */
export const sentSecrets = (source: { type: objects.Source["type"] }, sent: Secrets): SourceSecrets =>
  asSourceSecrets(parseSecrets(source, sent));

/** Whether what opens the one may be sent to the other. Paths and the choice of databases make no difference. */
/** Throws INVALID_INPUT unless what is sealed for the one may be sent to the other. */
export function requireSameServer(sealedFor: Server, asked: Server): void {
  if (isSameServer(sealedFor, asked)) return;
  throw invalid("taskId: that task's password was given for another server or user: give it again");
}

function isSameServer(a: Server, b: Server): boolean {
  return JSON.stringify(serverOf(a)) === JSON.stringify(serverOf(b));
}

type Server = objects.Source | objects.DatabasePlace;

function serverOf(source: Server) {
  if (!("host" in source)) return [source.type];
  const { type, host, port, user, tls } = source;
  const instance = source.type === "saphana" ? source.instance : null;
  return [type, host, port, user, instance, tls.mode, tls.caFile];
}

const parseSecrets = ({ type }: { type: objects.Source["type"] }, secrets: Secrets): Secrets =>
  parseSettings(objects.sourceSecrets[type], secrets, "secrets");

const asSourceSecrets = ({ password, resticPassword }: Secrets): SourceSecrets => ({
  password: textOrNull(password),
  resticPassword: textOrNull(resticPassword),
});

const textOrNull = (secret: unknown): string | null => (typeof secret === "string" ? secret : null);

const pick = (secrets: Secrets, names: string[]): Secrets =>
  Object.fromEntries(Object.entries(secrets).filter(([name]) => names.includes(name)));

const invalid = (message: string) => new DomainError("INVALID_INPUT", message);
