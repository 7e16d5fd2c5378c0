import type { Looked } from "./content-check.ts";

/** Passes a content on and counts its bytes. */
export async function* counted(
  content: AsyncIterable<Uint8Array>,
  looked: Looked,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    looked.bytes += chunk.length;
    yield chunk;
  }
}
