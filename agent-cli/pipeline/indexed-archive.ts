import { type ArchiveIndex, type IndexPlace, readArchiveIndex } from "./archive-index.ts";
import { DamagedArtifact } from "./damaged.ts";
import type { Artifact } from "./fetch-artifact.ts";
import type { StoredArtifact } from "./pipeline.ts";
import { bytesOf, openPlainStream, type PlainStream } from "./plain-stream.ts";

/** An archive whose members can be reached one by one. */
export type IndexedArchive = { artifact: Artifact; plain: PlainStream; index: ArchiveIndex };

/**
 * Opens an artifact by its index, of which it reads little more. Null when it has none; an index other than the recorded
 * one is damage.
 */
export async function openIndexed(
  artifact: Artifact,
  { identities, archiveIndex }: Pick<StoredArtifact, "identities" | "archiveIndex">,
): Promise<IndexedArchive | null> {
  if (artifact.sizeBytes === null || archiveIndex === null) return null;
  const plain = await openPlainStream(artifact, artifact.sizeBytes, identities ?? null);
  if (archiveIndex) requireLength(archiveIndex, plain.sizeBytes);
  const found = await readArchiveIndex((offset, length) => bytesOf(plain, offset, length), plain.sizeBytes);
  if (archiveIndex && !isSame(archiveIndex, found?.place ?? null))
    throw new DamagedArtifact("its index is not the one that was recorded");
  return found && { artifact, plain, index: found.index };
}

/** An index ends its stream, so where it ended tells a stream that was cut off, also when nobody has noted a size. */
function requireLength({ offsetBytes, sizeBytes }: IndexPlace, found: number): void {
  const recorded = offsetBytes + sizeBytes;
  if (found < recorded)
    throw new DamagedArtifact(`it is cut off: ${found} bytes of its ${recorded} packed ones are there`);
}

const isSame = (recorded: IndexPlace, found: IndexPlace | null): boolean =>
  found !== null &&
  recorded.offsetBytes === found.offsetBytes &&
  recorded.sizeBytes === found.sizeBytes &&
  recorded.sha256.toLowerCase() === found.sha256;
