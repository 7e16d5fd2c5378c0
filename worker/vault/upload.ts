import { isCopying } from "../copies/in-hand.ts";
import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import type { AgentNode } from "../nodes/authenticate.ts";
import { requireOwnKey } from "../records/object-key.ts";
import { isOpen, recordOfNode } from "../records/of-node.ts";
import { toHex } from "../secrets/hash.ts";
import { refusing } from "./refusals.ts";

/** R2 wants all parts but the last to be of one size, at least 5 MiB, and takes 10,000 of them. */
const PART_BYTES = 16 * 1024 * 1024;
/** What Cloudflare accepts in one request on the Free and Pro plans. */
const MAX_REQUEST_BYTES = 100 * 1000 * 1000;

export type VaultTarget = { name: string; quotaBytes: number | null; usedBytes: number };
type Place = { recordId: number; targetId: number; key: string };

/** Begins an upload in parts to a record's own key in the vault. */
export async function beginUpload(deps: Deps, node: AgentNode, place: Place) {
  const target = await requireWritable(deps, node, place);
  requireRoom(target, 1);
  const upload = await deps.vault.createMultipartUpload(place.key);
  await deps.db
    .prepare("insert into vault_uploads (upload_id, record_id, key, created_at) values (?, ?, ?, ?)")
    .bind(upload.uploadId, place.recordId, place.key, deps.now())
    .run();
  return { uploadId: upload.uploadId, partSizeBytes: PART_BYTES };
}

/** Stores one part; a part whose bytes have another hash than announced is refused and may be sent again. */
export async function uploadPart(
  deps: Deps,
  node: AgentNode,
  place: Place & { uploadId: string; number: number },
  content: { body: ReadableStream<Uint8Array>; sizeBytes: number; sha256: string },
): Promise<{ etag: string }> {
  await requireWritable(deps, node, place);
  if (content.sizeBytes > PART_BYTES) {
    throw new DomainError("BODY_TOO_LARGE", `part: is larger than ${PART_BYTES} bytes`);
  }
  const { body, digest } = digesting(content.body, content.sizeBytes);
  const upload = deps.vault.resumeMultipartUpload(place.key, place.uploadId);
  const stored = await refusing(upload.uploadPart(place.number, body));
  if ((await digest) !== content.sha256) throw mismatch("this part's SHA-256");
  return { etag: stored.etag };
}

/** Makes the parts one object. The whole must have the announced size and stay within the target's quota. */
export async function completeUpload(
  deps: Deps,
  node: AgentNode,
  place: Place & { uploadId: string },
  whole: { parts: { number: number; etag: string }[]; sizeBytes: number },
): Promise<{ sizeBytes: number }> {
  const target = await requireWritable(deps, node, place);
  requireRoom(target, whole.sizeBytes);
  const underWay = await deps.db
    .prepare("select 1 from vault_uploads where upload_id = ?")
    .bind(place.uploadId)
    .first();
  const upload = deps.vault.resumeMultipartUpload(place.key, place.uploadId);
  const object = underWay
    ? await refusing(upload.complete(whole.parts.map(({ number, etag }) => ({ partNumber: number, etag }))))
    : await deps.vault.head(place.key);
  if (!object)
    throw new DomainError("ARTIFACT_NOT_FOUND", "this upload is unknown, aborted or already given up");
  await deps.db.prepare("delete from vault_uploads where upload_id = ?").bind(place.uploadId).run();
  if (object.size !== whole.sizeBytes) {
    await deps.vault.delete(place.key);
    throw mismatch("the object's size");
  }
  return { sizeBytes: object.size };
}

/** Gives up an upload in parts. Fine when it is already gone. */
export async function abortUpload(
  deps: Deps,
  node: AgentNode,
  place: Place & { uploadId: string },
): Promise<void> {
  if (!(await isCopying(deps, node, place))) await recordOfNode(deps, node, place.recordId);
  const known = await deps.db
    .prepare("delete from vault_uploads where upload_id = ? and record_id = ? and key = ? returning 1")
    .bind(place.uploadId, place.recordId, place.key)
    .first();
  if (known) await deps.vault.resumeMultipartUpload(place.key, place.uploadId).abort();
}

/** Stores a whole artifact in one request, as agents without uploads in parts do. */
export async function putArtifact(
  deps: Deps,
  node: AgentNode,
  place: Place,
  content: { body: ReadableStream<Uint8Array>; sizeBytes: number; sha256: string },
): Promise<{ storagePath: string; fileSize: number }> {
  const target = await requireWritable(deps, node, place);
  if (content.sizeBytes > MAX_REQUEST_BYTES) {
    throw new DomainError(
      "ARTIFACT_TOO_LARGE",
      `artifact: has ${content.sizeBytes} bytes, and one request may carry ${MAX_REQUEST_BYTES}: use backupx-agent, which uploads in parts, or a target that the node reaches directly`,
    );
  }
  requireRoom(target, content.sizeBytes);
  const { body, digest } = digesting(content.body, content.sizeBytes);
  const object = await deps.vault.put(place.key, body);
  if ((await digest) !== content.sha256 || object?.size !== content.sizeBytes) {
    await deps.vault.delete(place.key);
    throw mismatch("the artifact's SHA-256 or size");
  }
  return { storagePath: place.key, fileSize: object.size };
}

/** The vault's target, if this node may now write this key into it: for the record that it makes, or copies there. */
async function requireWritable(deps: Deps, node: AgentNode, place: Place): Promise<VaultTarget> {
  const allowed = (await isCopying(deps, node, place)) || (await isTargetOfRun(deps, node, place));
  const target = allowed ? await vaultTarget(deps, place.targetId) : null;
  if (target) return target;
  throw new DomainError(
    "BACKUP_STORAGE_TARGET_FORBIDDEN",
    `target ${place.targetId} is no vault of this record`,
  );
}

/** Whether the target is one of an open record of this node, and the key one of that record's own. */
async function isTargetOfRun(deps: Deps, node: AgentNode, place: Place): Promise<boolean> {
  const held = await recordOfNode(deps, node, place.recordId);
  if (!isOpen(held)) {
    throw new DomainError("BACKUP_RECORD_FORBIDDEN", `record ${held.id} has ended: ${held.status}`);
  }
  requireOwnKey(place.key, held);
  return held.targetIds.includes(place.targetId);
}

async function vaultTarget({ db }: Deps, id: number): Promise<VaultTarget | null> {
  return db
    .prepare(
      `select name, quota_bytes as quotaBytes, used_bytes as usedBytes from storage_targets
       where id = ? and type = 'vault'`,
    )
    .bind(id)
    .first<VaultTarget>();
}

function requireRoom(target: VaultTarget, bytes: number): void {
  if (target.quotaBytes === null || target.usedBytes + bytes <= target.quotaBytes) return;
  throw new DomainError(
    "STORAGE_QUOTA_EXCEEDED",
    `target ${target.name} is full: ${target.usedBytes} of ${target.quotaBytes} bytes are used`,
  );
}

const mismatch = (what: string) =>
  new DomainError("AGENT_ARTIFACT_MISMATCH", `${what} differs from what was announced; nothing was kept`);

/** The same bytes, hashed on their way: they never lie in memory whole. */
function digesting(source: ReadableStream<Uint8Array>, sizeBytes: number) {
  const hasher = new crypto.DigestStream("SHA-256");
  const writer = hasher.getWriter();
  const hash = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      await writer.write(chunk);
      controller.enqueue(chunk);
    },
    flush: () => writer.close(),
  });
  const digest = hasher.digest.then(toHex);
  // Without this, a source that breaks would also be an unhandled rejection of the digest.
  digest.catch(() => {});
  return { body: source.pipeThrough(hash).pipeThrough(new FixedLengthStream(sizeBytes)), digest };
}
