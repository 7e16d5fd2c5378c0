import { decompress } from "./frames.ts";
import type { RestoreJob } from "./pipeline.ts";

/** What an artifact's bytes hold: decrypted, decompressed, and not a byte of it before it was authenticated. */
export async function* contentOf(
  { identities, compression }: Pick<RestoreJob, "identities" | "compression">,
  artifact: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (!identities) return yield* decompress(artifact, compression);
  // Keys and their mathematics are loaded by those alone who need them.
  const { decrypt } = await import("./decrypt.ts");
  yield* decompress(decrypt(artifact, identities), compression);
}
