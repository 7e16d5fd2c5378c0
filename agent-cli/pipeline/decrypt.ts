import type { KeyObject } from "node:crypto";
import { Decrypter, type Stanza } from "age-encryption";
import { chunkBytes, openChunk, payloadKey, payloadNonceBytes, tagBytes } from "./age-payload.ts";
import { ByteReader } from "./byte-reader.ts";
import { DamagedArtifact } from "./damaged.ts";
import type { Identities } from "./identities.ts";

const versionLine = "age-encryption.org/v1\n";
const newline = 0x0a;
const maxHeaderBytes = 64 * 1024;

/** The backup is encrypted, and not to any of the keys at hand. */
export class NoIdentityFits extends Error {
  constructor(origin: string, stanzas: readonly Stanza[]) {
    super(
      `no identity in ${origin} opens this backup: it was encrypted to ${describe(stanzas)}, all to other keys, or its header was altered`,
    );
    this.name = "NoIdentityFits";
  }
}

/**
 * Decrypts an age file. Nothing is handed on before its chunk was authenticated; a file that was altered, cut off,
 * reordered or continued throws `DamagedArtifact`, one for other keys `NoIdentityFits`.
 */
export async function* decrypt(
  source: AsyncIterable<Uint8Array>,
  identities: Identities,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(source);
  try {
    const { key } = await openPayload(reader, identities);
    yield* openChunks(reader, key);
  } finally {
    await reader.close();
  }
}

/** What is needed to decrypt an age file from any place in it. */
export type AgePayload = { key: KeyObject; startsAt: number };

/** Reads the beginning of an age file, up to where its payload starts. */
export async function openPayload(reader: ByteReader, identities: Identities): Promise<AgePayload> {
  const header = await readHeader(reader);
  const fileKey = await openHeader(header, identities);
  const nonce = await reader.take(payloadNonceBytes);
  if (nonce.length < payloadNonceBytes) throw new DamagedArtifact("it is cut off after its age header");
  return { key: payloadKey(fileKey, nonce), startsAt: header.length + payloadNonceBytes };
}

/** The size of what an encrypted payload of so many bytes holds. */
export function openedBytes(payloadBytes: number): number {
  const chunks = Math.max(1, Math.ceil(payloadBytes / (chunkBytes + tagBytes)));
  const opened = payloadBytes - chunks * tagBytes;
  if (opened < 0) throw new DamagedArtifact("it is cut off after its age header");
  return opened;
}

/**
 * A part of what an age file holds. `read` gives the file's own bytes. Every chunk is authenticated, and the file's last
 * one as its last, so that a file which was cut off or continued does not pass for a whole one where its end is read.
 */
export async function* decryptRange(
  { key, startsAt }: AgePayload,
  payloadBytes: number,
  read: (offset: number, length: number) => AsyncIterable<Uint8Array>,
  { offset, length }: { offset: number; length: number },
): AsyncGenerator<Uint8Array> {
  const sealedBytes = chunkBytes + tagBytes;
  const lastChunk = Math.max(1, Math.ceil(payloadBytes / sealedBytes)) - 1;
  const first = Math.floor(offset / chunkBytes);
  const end = Math.min(Math.floor((offset + length - 1) / chunkBytes), lastChunk);
  const until = Math.min((end + 1) * sealedBytes, payloadBytes);
  const reader = new ByteReader(read(startsAt + first * sealedBytes, until - first * sealedBytes));
  try {
    for (let place = first; place <= end; place += 1) {
      const sealed = await reader.take(Math.min(sealedBytes, payloadBytes - place * sealedBytes));
      const content = openChunk(key, sealed, place, place === lastChunk);
      if (content === null) throw new DamagedArtifact(whatIsWrong(key, sealed, place, place === lastChunk));
      const from = Math.max(0, offset - place * chunkBytes);
      yield content.subarray(from, Math.min(content.length, offset + length - place * chunkBytes));
    }
  } finally {
    await reader.close();
  }
}

/** The header as text, up to and with the line of its MAC. */
async function readHeader(reader: ByteReader): Promise<Uint8Array> {
  const version = await reader.take(versionLine.length);
  if (version.toString("latin1") !== versionLine)
    throw new DamagedArtifact("what should be an age file is something else");
  const lines = [version];
  for (let room = maxHeaderBytes; ; ) {
    const line = await readLine(reader, room);
    lines.push(line);
    if (line.subarray(0, 4).toString("latin1") === "--- ") return Buffer.concat(lines);
    room -= line.length;
  }
}

async function readLine(reader: ByteReader, maxBytes: number): Promise<Buffer> {
  const bytes: number[] = [];
  while (bytes.length < maxBytes) {
    const [byte] = await reader.take(1);
    if (byte === undefined) throw new DamagedArtifact("it is cut off in its age header");
    bytes.push(byte);
    if (byte === newline) return Buffer.from(bytes);
  }
  throw new DamagedArtifact("its age header does not end");
}

async function openHeader(header: Uint8Array, identities: Identities): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  for (const key of identities.keys) decrypter.addIdentity(key);
  let unopened: Stanza[] | null = null;
  // Asked after all others, hence only when none of them fits.
  decrypter.addIdentity({
    unwrapFileKey: (stanzas: Stanza[]) => {
      unopened = stanzas;
      return null;
    },
  });
  try {
    return await decrypter.decryptHeader(header);
  } catch {
    if (unopened) throw new NoIdentityFits(identities.origin, unopened);
    throw new DamagedArtifact("its age header is malformed or was altered");
  }
}

async function* openChunks(reader: ByteReader, key: KeyObject): AsyncGenerator<Uint8Array> {
  let sealed = await reader.take(chunkBytes + tagBytes);
  for (let place = 0; ; place += 1) {
    const next = await reader.take(chunkBytes + tagBytes);
    const last = next.length === 0;
    const content = openChunk(key, sealed, place, last);
    if (content === null) throw new DamagedArtifact(whatIsWrong(key, sealed, place, last));
    if (last && content.length === 0 && place > 0) {
      throw new DamagedArtifact("its encryption ends with an empty chunk, which no age program writes");
    }
    if (content.length > 0) yield content;
    if (last) return;
    sealed = next;
  }
}

function whatIsWrong(key: KeyObject, sealed: Uint8Array, place: number, last: boolean): string {
  const chunk = `chunk ${place + 1} of its encryption`;
  if (openChunk(key, sealed, place, !last) !== null) {
    return last ? `it is cut off after ${chunk}` : `there is data after ${chunk}, which is its last`;
  }
  if (sealed.length < tagBytes) return `it is cut off in ${chunk}`;
  return last ? `${chunk} was altered, or is cut off` : `${chunk} was altered, or is not in its place`;
}

/** Types only, which are not secret; each is text of whoever made the file. */
function describe(stanzas: readonly Stanza[]): string {
  const types = stanzas.slice(0, 20).map(({ args }) => (args[0] ?? "").slice(0, 40));
  const counts = Map.groupBy(types, (type) => type);
  const named = [...counts].map(([type, { length }]) => `${length} of type ${type}`).join(", ");
  return `${stanzas.length} ${stanzas.length === 1 ? "recipient" : "recipients"} (${named})`;
}
