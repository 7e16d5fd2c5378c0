import { DamagedArtifact } from "../pipeline/damaged.ts";
import { peek } from "../pipeline/peek.ts";
import type { SlabPool } from "../pipeline/slabs.ts";
import { TarWriter } from "../pipeline/tar.ts";
import type { TarEntry } from "../pipeline/tar-entry.ts";
import { TarReader } from "../pipeline/untar.ts";

/**
 * Several dumps in one tar stream, although nobody knows how long a dump will be: each is a directory of numbered pieces.
 * `tar -xO NAME` writes all of a directory's pieces one after the other, and that is the dump.
 */
const pieceBytes = 8 * 1024 * 1024;
const pieceDigits = 8;

export class DumpArchive {
  readonly #tar: TarWriter;

  constructor(slabs: SlabPool) {
    this.#tar = new TarWriter(slabs);
  }

  /** A member that is small enough to be held whole. */
  *addSmall(name: string, content: Buffer): Generator<Buffer> {
    this.#tar.writeHeader(entryFor(name, content.length));
    this.#tar.write(content);
    yield* this.#tar.take();
    this.#tar.pad(content.length);
  }

  /** A member of known size, which the stream must have. */
  async *addSized(name: string, size: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    this.#tar.writeHeader(entryFor(name, size));
    let left = size;
    for await (const chunk of bytes) {
      left -= chunk.length;
      if (left < 0) break;
      this.#tar.write(chunk);
      yield* this.#tar.take();
    }
    if (left !== 0) throw new Error(`${name} changed its size while it was read`);
    this.#tar.pad(size);
  }

  async *add(name: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    let count = 0;
    for await (const piece of inPieces(bytes)) {
      count += 1;
      yield* this.addSmall(`${name}/${String(count).padStart(pieceDigits, "0")}`, piece);
    }
  }

  finish(): Buffer[] {
    return this.#tar.finish();
  }
}

/** A database may be called anything, a member of an archive may not: what has a meaning in paths is escaped. */
export const memberOf = (database: string, suffix: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they have no place in the names of files
  `${database.replace(/[/\\%\u0000-\u001f\u007f]|^[.-]/g, escaped)}.${suffix}`;

const escaped = (char: string): string =>
  `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;

const plainName = (text: string): string =>
  text.replace(/%([0-9A-F]{2})/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));

async function* inPieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const piece = Buffer.allocUnsafeSlow(pieceBytes);
  let used = 0;
  for await (const chunk of bytes) {
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + pieceBytes - used);
      piece.set(part, used);
      used += part.length;
      from += part.length;
      if (used < pieceBytes) continue;
      // The archive copies it before it asks for the next one.
      yield piece;
      used = 0;
    }
  }
  if (used > 0) yield piece.subarray(0, used);
}

function entryFor(name: string, size: number): TarEntry {
  return {
    path: Buffer.from(name),
    type: "file",
    mode: 0o600,
    uid: 0,
    gid: 0,
    userName: null,
    groupName: null,
    size,
    mtimeNs: BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n,
    linkPath: null,
    devMajor: 0,
    devMinor: 0,
    sparse: null,
  };
}

/** Takes one dump. */
export type DumpSink = {
  write(bytes: Uint8Array): Promise<void>;
  /** The dump was complete. */
  end(): Promise<void>;
  /** Comes last in any case, and removes what a dump that was not completed has left. Never rejects. */
  stop(): Promise<void>;
};

/** What an archive of dumps holds: a dump with its database's name, or another member with its own. */
export type DumpMember = { kind: "dump"; database: string } | { kind: "other"; name: string };

/** Opens a sink for each member that is wanted; null leaves it out. */
export type OpenSink = (member: DumpMember) => Promise<DumpSink | null>;

type Reading = {
  suffix: string /** The database of an artifact that is a dump and no archive. */;
  only: string | null;
  open: OpenSink;
};
type Event = { name: string } | { bytes: Buffer };

/** Reads the dumps of an artifact to its end, one after the other. */
export async function readDumps(
  content: AsyncIterable<Uint8Array>,
  { suffix, only, open }: Reading,
): Promise<void> {
  const { start, all } = await peek(content, tarMagicAt + 5);
  if (only === null || isTar(start)) return await readArchive(all, suffix, open);
  const sink = await open({ kind: "dump", database: only });
  try {
    for await (const chunk of all) await sink?.write(chunk);
    await sink?.end();
  } finally {
    await sink?.stop();
  }
}

const tarMagicAt = 257;
const isTar = (start: Buffer): boolean => start.toString("latin1", tarMagicAt, tarMagicAt + 5) === "ustar";

async function readArchive(
  content: AsyncIterable<Uint8Array>,
  suffix: string,
  open: OpenSink,
): Promise<void> {
  const events: Event[] = [];
  const reader = new TarReader({
    entry: ({ type, path }) => {
      if (type === "file") events.push({ name: path.toString() });
    },
    data: (bytes) => void events.push({ bytes }),
    endEntry: () => {},
  });
  const dumps = new DumpSequence(suffix, open);
  try {
    for await (const chunk of content) {
      reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      for (const event of events.splice(0)) {
        if ("name" in event) await dumps.member(event.name);
        else await dumps.write(event.bytes);
      }
    }
    reader.end();
    await dumps.end();
  } finally {
    await dumps.stop();
  }
}

class DumpSequence {
  readonly #suffix: string;
  readonly #open: OpenSink;
  readonly #seen = new Set<string>();
  #current: { name: string; pieces: number; sink: DumpSink | null } | null = null;

  constructor(suffix: string, open: OpenSink) {
    this.#suffix = suffix;
    this.#open = open;
  }

  async member(path: string): Promise<void> {
    const [, name = path, piece = null] = /^([^/]+)\/(\d+)$/.exec(path) ?? [];
    if (this.#current?.name !== name) await this.#begin(name, piece);
    if (!this.#current) return;
    this.#current.pieces += 1;
    if (piece !== null && Number(piece) !== this.#current.pieces) {
      throw new DamagedArtifact(`piece ${this.#current.pieces} of ${name} is not where it must be`);
    }
  }

  async write(bytes: Buffer): Promise<void> {
    await this.#current?.sink?.write(bytes);
  }

  async end(): Promise<void> {
    await this.#current?.sink?.end();
    await this.stop();
  }

  async stop(): Promise<void> {
    const { sink } = this.#current ?? {};
    this.#current = null;
    await sink?.stop();
  }

  async #begin(name: string, piece: string | null): Promise<void> {
    await this.end();
    if (this.#seen.has(name)) throw new DamagedArtifact(`${name} is there twice`);
    this.#seen.add(name);
    const isDump = piece !== null && name.endsWith(`.${this.#suffix}`);
    const database = plainName(name.slice(0, -this.#suffix.length - 1));
    const sink = await this.#open(isDump ? { kind: "dump", database } : { kind: "other", name });
    this.#current = { name, pieces: 0, sink };
  }
}
