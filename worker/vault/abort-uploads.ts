import type { Deps } from "../deps.ts";

/** Gives up what a run has begun to upload and not completed. Never throws: the vault drops what is left after 7 days. */
export async function abortUploads({ db, vault, log }: Deps, recordId: number): Promise<void> {
  const { results } = await db
    .prepare("delete from vault_uploads where record_id = ? returning upload_id as uploadId, key")
    .bind(recordId)
    .all<{ uploadId: string; key: string }>();
  for (const { uploadId, key } of results) {
    await vault
      .resumeMultipartUpload(key, uploadId)
      .abort()
      .catch((error: unknown) =>
        log("an unfinished upload could not be aborted", { key, error: String(error) }),
      );
  }
}
