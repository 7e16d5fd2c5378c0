import { ByteReader } from "./byte-reader.ts";
import type { Artifact } from "./fetch-artifact.ts";
import type { Identities } from "./identities.ts";

/** More than any header that `decrypt` takes, of which no more is fetched than comes at once. */
const headerReadBytes = 65 * 1024;

/** An artifact as its compressed stream, decrypted where it is encrypted, to be read from any place. */
export type PlainStream = {
  readonly sizeBytes: number;
  read(offset: number, length: number): AsyncIterable<Uint8Array>;
  /** A part at once, where that is possible: false when it must be asked for by `read`. */
  readNow(offset: number, target: Buffer): boolean;
};

/** Opens it; of an encrypted one that needs the beginning, and a key that fits. */
export async function openPlainStream(
  artifact: Artifact,
  sizeBytes: number,
  identities: Identities | null,
): Promise<PlainStream> {
  if (!identities) {
    return {
      sizeBytes,
      read: (offset, length) => artifact.range(offset, length),
      readNow: (offset, target) => artifact.readNow(offset, target),
    };
  }
  const { decryptRange, openedBytes } = await import("./decrypt.ts");
  const payload = await readPayloadHead(artifact, sizeBytes, identities);
  const payloadBytes = sizeBytes - payload.startsAt;
  return {
    sizeBytes: openedBytes(payloadBytes),
    readNow: () => false,
    read: (offset, length) =>
      decryptRange(payload, payloadBytes, (from, count) => artifact.range(from, count), { offset, length }),
  };
}

/** A part of the stream that is small enough to be held. */
export async function bytesOf(plain: PlainStream, offset: number, length: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  if (length > 0) for await (const part of plain.read(offset, length)) parts.push(part);
  return Buffer.concat(parts);
}

async function readPayloadHead(artifact: Artifact, sizeBytes: number, identities: Identities) {
  const { openPayload } = await import("./decrypt.ts");
  const reader = new ByteReader(artifact.range(0, Math.min(sizeBytes, headerReadBytes)));
  try {
    return await openPayload(reader, identities);
  } finally {
    await reader.close();
  }
}
