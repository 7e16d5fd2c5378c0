import type { Context } from "hono";
import { agentApi, objects } from "../../protocol/index.ts";
import { copyArtifact } from "../copies/spec.ts";
import { DomainError } from "../errors.ts";
import { type App, DONE, type HonoEnv, serveAgent } from "../http.ts";
import { baseArtifact } from "../records/base.ts";
import { inspectedArtifact } from "../records/contents.ts";
import { restoreArtifact } from "../restores/spec.ts";
import { abortUpload, beginUpload, completeUpload, putArtifact, uploadPart } from "../vault/upload.ts";
import { verificationArtifact } from "../verifications/spec.ts";

export function mountVaultRoutes(app: App): void {
  serveAgent(app, agentApi.putArtifact, async ({ deps, node, params, c }) => {
    const key = c.req.header("X-BackupX-Object-Key");
    if (!key) throw new DomainError("INVALID_INPUT", "X-BackupX-Object-Key: is missing");
    const place = { recordId: params.id, targetId: params.targetId, key };
    return { ...DONE, ...(await putArtifact(deps, node, place, contentOf(c))) };
  });
  serveAgent(app, agentApi.beginUpload, async ({ deps, node, params, body }) =>
    beginUpload(deps, node, { recordId: params.id, targetId: params.targetId, key: body.key }),
  );
  serveAgent(app, agentApi.uploadPart, async ({ deps, node, params, query, c }) => {
    const { id: recordId, targetId, uploadId, number } = params;
    if (number > 10_000) throw new DomainError("INVALID_INPUT", "number: must be at most 10000");
    return uploadPart(deps, node, { recordId, targetId, uploadId, number, key: query.key }, contentOf(c));
  });
  serveAgent(app, agentApi.completeUpload, async ({ deps, node, params, body }) =>
    completeUpload(
      deps,
      node,
      { recordId: params.id, targetId: params.targetId, uploadId: params.uploadId, key: body.key },
      body,
    ),
  );
  serveAgent(app, agentApi.abortUpload, async ({ deps, node, params, query }) => {
    await abortUpload(deps, node, {
      recordId: params.id,
      targetId: params.targetId,
      uploadId: params.uploadId,
      key: query.key,
    });
    return DONE;
  });
  serveAgent(app, agentApi.restoreArtifact, async ({ deps, node, params, query, c }) => {
    const range = rangeOf(c);
    const artifact = await restoreArtifact(deps, node, params.id, query.of, range);
    return artifactResponse(artifact, range);
  });
  serveAgent(app, agentApi.baseArtifact, async ({ deps, node, params, c }) => {
    const range = rangeOf(c);
    return artifactResponse(await baseArtifact(deps, node, params.id, range), range);
  });
  serveAgent(app, agentApi.inspectedArtifact, async ({ deps, node, params, c }) => {
    const range = rangeOf(c);
    return artifactResponse(await inspectedArtifact(deps, node, params.id, range), range);
  });
  serveAgent(app, agentApi.verificationArtifact, async ({ deps, node, params, query, c }) => {
    const range = rangeOf(c);
    const artifact = await verificationArtifact(deps, node, params.id, query.of, range);
    return artifactResponse(artifact, range);
  });
  serveAgent(app, agentApi.copyArtifact, async ({ deps, node, params, c }) => {
    const range = rangeOf(c);
    return artifactResponse(await copyArtifact(deps, node, params.id, range), range);
  });
}

/** A body of announced length and hash: both are needed before the first byte is stored. */
function contentOf(c: Context<HonoEnv>) {
  const length = c.req.header("Content-Length");
  if (length === undefined || !/^\d+$/.test(length)) {
    throw new DomainError(
      "LENGTH_REQUIRED",
      "Content-Length: is missing; the artifact's size must be announced",
    );
  }
  const sha256 = objects.sha256.safeParse(c.req.header("X-BackupX-SHA256"));
  if (!sha256.success)
    throw new DomainError("INVALID_INPUT", "X-BackupX-SHA256: must be 64 lower-case hex characters");
  const body = c.req.raw.body ?? new Blob([]).stream();
  return { body: body as ReadableStream<Uint8Array>, sizeBytes: Number(length), sha256: sha256.data };
}

type Range = { offset: number; length?: number };

/** One range of bytes with a known start; anything else is answered whole, as HTTP allows. */
function rangeOf(c: Context<HonoEnv>): Range | null {
  const match = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(c.req.header("Range") ?? "");
  if (!match) return null;
  const offset = Number(match[1]);
  if (match[2] === undefined) return { offset };
  const length = Number(match[2]) - offset + 1;
  if (length <= 0) throw new DomainError("RANGE_NOT_SATISFIABLE", "Range: ends before it starts");
  return { offset, length };
}

function artifactResponse(
  { body, sizeBytes }: { body: ReadableStream; sizeBytes: number },
  range: Range | null,
) {
  const length = range ? Math.min(range.length ?? sizeBytes, sizeBytes - range.offset) : sizeBytes;
  return new Response(body.pipeThrough(new FixedLengthStream(length)), {
    status: range ? 206 : 200,
    headers: {
      "Content-Type": "application/octet-stream",
      "Content-Length": String(length),
      "Accept-Ranges": "bytes",
      ...(range && { "Content-Range": `bytes ${range.offset}-${range.offset + length - 1}/${sizeBytes}` }),
    },
  });
}
