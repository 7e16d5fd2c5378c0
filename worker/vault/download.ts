import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { refusing } from "./refusals.ts";

/** An object of the vault as a stream, or a range of it: offset and length in bytes. */
export async function openArtifact(
  { vault }: Deps,
  key: string,
  range: { offset: number; length?: number } | null,
) {
  const object = await refusing(vault.get(key, range ? { range } : {}));
  if (!object) throw new DomainError("ARTIFACT_NOT_FOUND", "the artifact is no longer in the vault");
  return { body: object.body, sizeBytes: object.size };
}
