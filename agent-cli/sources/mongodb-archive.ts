const magic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
const terminator = -1;
const smallestDocument = 5;
const largestDocument = 64 * 1024 * 1024;

/**
 * Follows an archive of mongodump, of which nothing but lengths is looked at: magic number, documents about collections,
 * then segments of documents, each closed by a terminator. It is whole when it ends between two segments.
 */
export class MongoArchive {
  /** Databases that the archive says it holds; complete once its prelude was read. */
  readonly databases = new Set<string>();
  #state: "magic" | "prelude" | "between" | "segment" = "magic";
  #word = Buffer.alloc(4);
  #wordBytes = 0;
  /** Bytes of the current document that are still to come. */
  #left = 0;
  /** The current document, while it is one about a collection. */
  #about: Buffer[] = [];

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const wanted = this.#left > 0 ? this.#left : 4 - this.#wordBytes;
      const part = bytes.subarray(at, at + wanted);
      at += part.length;
      if (this.#left > 0) this.#document(part);
      else this.#length(part);
    }
  }

  get isWhole(): boolean {
    return this.#state === "between" && this.#wordBytes === 0 && this.#left === 0;
  }

  #document(part: Uint8Array): void {
    if (this.#state === "prelude") this.#about.push(Buffer.from(part));
    this.#left -= part.length;
    if (this.#left > 0 || this.#state !== "prelude") return;
    const database = textIn(Buffer.concat(this.#about), "db");
    if (database) this.databases.add(database);
    this.#about = [];
  }

  #length(part: Uint8Array): void {
    this.#word.set(part, this.#wordBytes);
    this.#wordBytes += part.length;
    if (this.#wordBytes < 4) return;
    this.#wordBytes = 0;
    if (this.#state === "magic") {
      if (!this.#word.equals(magic)) throw new Error("it is no archive of mongodump");
      this.#state = "prelude";
      return;
    }
    const length = this.#word.readInt32LE();
    if (length === terminator) {
      if (this.#state === "between") throw new Error("its segments are out of order");
      this.#state = "between";
      return;
    }
    if (length < smallestDocument || length > largestDocument)
      throw new Error("one of its documents has no length");
    if (this.#state === "between") this.#state = "segment";
    this.#left = length - 4;
  }
}

/** How many bytes a value of a BSON type has; those that begin with their own length are not here. */
const fixedBytes: Record<number, number> = {
  1: 8,
  6: 0,
  7: 12,
  8: 1,
  9: 8,
  10: 0,
  16: 4,
  17: 8,
  18: 8,
  19: 16,
};

/** The string of this name in a BSON document, of which the first four bytes, its length, are left out. */
function textIn(document: Buffer, name: string): string | null {
  for (let at = 0; at < document.length && document[at] !== 0; ) {
    const type = document[at] ?? 0;
    const end = document.indexOf(0, at + 1);
    const key = document.toString("utf8", at + 1, end);
    at = end + 1;
    const fixed = fixedBytes[type];
    if (fixed !== undefined) at += fixed;
    else if (type === 2) {
      const length = document.readInt32LE(at);
      if (key === name) return document.toString("utf8", at + 4, at + 3 + length);
      at += 4 + length;
    } else if (type === 3 || type === 4) at += document.readInt32LE(at);
    // Nothing else is in documents about collections.
    else return null;
  }
  return null;
}

/** Passes an archive on; throws when it is none, or when it is cut off. */
export async function* wholeArchive(dump: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  const archive = new MongoArchive();
  for await (const chunk of dump) {
    try {
      archive.push(chunk);
    } catch (error) {
      throw new Error(`the dump of ${what} is damaged: ${(error as Error).message}`);
    }
    yield chunk;
  }
  if (!archive.isWhole) throw new Error(`the dump of ${what} was cut off before its end`);
}
