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
    const fileKey = await openHeader(await readHeader(reader), identities);
    const nonce = await reader.take(payloadNonceBytes);
    if (nonce.length < payloadNonceBytes) throw new DamagedArtifact("it is cut off after its age header");
    yield* openChunks(reader, payloadKey(fileKey, nonce));
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
