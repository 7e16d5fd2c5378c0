import { fieldsOf, requireBson, smallestDocument } from "./bson.ts";
import { Crc64 } from "./crc64.ts";

const magic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
const terminator = -1;
const largestDocument = 64 * 1024 * 1024;
const toldNames = 5;

/** What an archive has of a collection, a view, or the oplog. */
export type ArchivedCollection = {
  /** With its database's name before it. */
  name: string;
  documents: number;
  isEnded: boolean;
  /** Whether the archive has a checksum of its documents; known when it is ended. */
  hasChecksum: boolean;
  crc: Crc64 | null;
};

/**
 * Follows an archive of mongodump: magic number, a prelude that announces every collection, then segments of documents,
 * in which those of several collections take turns, each closed by a terminator. A segment of its own ends a collection,
 * with the checksum of its documents. With `contents`, each document is looked into, too, and the checksums are compared.
 */
export class MongoArchive {
  /** Databases that the archive says it holds; complete once its prelude was read. */
  readonly databases = new Set<string>();
  readonly collections = new Map<string, ArchivedCollection>();
  serverVersion = "";
  readonly #contents: boolean;
  #announced: { name: string; isTimeseries: boolean }[] = [];
  #state: "magic" | "header" | "prelude" | "between" | "segment" | "ended" = "magic";
  #current: ArchivedCollection | null = null;
  #word = Buffer.alloc(4);
  #wordBytes = 0;
  /** Bytes of the current document that are still to come, and those that were kept of it. */
  #left = 0;
  #kept: Buffer[] | null = null;

  constructor({ contents }: { contents: boolean }) {
    this.#contents = contents;
  }

  /** Takes the next bytes; throws with the reason when they cannot be those of an archive. */
  push(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const part = chunk.subarray(at, at + this.#left);
        at += part.length;
        this.#continue(part);
      } else {
        const part = chunk.subarray(at, at + 4 - this.#wordBytes);
        at += part.length;
        this.#word.set(part, this.#wordBytes);
        this.#wordBytes += part.length;
        if (this.#wordBytes === 4) at += this.#begin(chunk.subarray(at));
      }
    }
  }

  /** Throws with the reason unless the archive has ended, and every collection in it. */
  finish(): void {
    const where = this.#unfinished;
    if (where !== null) throw new Error(`it is cut off in ${where}`);
    const open = [...this.collections.values()].filter(({ isEnded }) => !isEnded).map(({ name }) => name);
    const more = open.length > toldNames ? ` and ${open.length - toldNames} more` : "";
    if (open.length > 0)
      throw new Error(`it is cut off before the end of ${open.slice(0, toldNames).join(", ")}${more}`);
    for (const announced of this.#announced) {
      const isThere = namesOf(announced).some((name) => this.collections.has(name));
      if (!isThere) throw new Error(`it is cut off: ${announced.name} is announced and not in it`);
    }
  }

  /** Four bytes were read; of those behind them, `rest`, it takes as many as it says. */
  #begin(rest: Buffer): number {
    this.#wordBytes = 0;
    if (this.#state === "magic") {
      if (!this.#word.equals(magic)) throw new Error("it is no archive of mongodump");
      this.#state = "header";
      return 0;
    }
    const length = this.#word.readInt32LE();
    if (length === terminator) {
      this.#endSegment();
      return 0;
    }
    if (length < smallestDocument || length > largestDocument)
      throw new Error(`${length} is no length of a document, and no terminator`);
    if (this.#state === "ended") throw new Error(`there is a document behind the end of ${this.#shown}`);
    this.#left = length - 4;
    const isWanted = this.#contents || this.#state !== "segment";
    this.#kept = isWanted ? [Buffer.from(this.#word)] : null;
    const part = rest.subarray(0, this.#left);
    if (part.length > 0) this.#continue(part);
    return part.length;
  }

  #continue(part: Buffer): void {
    this.#left -= part.length;
    // A part that is not the last one must outlive the chunk that it came with.
    this.#kept?.push(this.#left > 0 ? Buffer.from(part) : part);
    if (this.#left > 0) return;
    const document = this.#kept && Buffer.concat(this.#kept);
    this.#kept = null;
    if (this.#state === "segment") this.#body(document);
    else if (document) this.#head(document);
  }

  #body(document: Buffer | null): void {
    const collection = this.#current as ArchivedCollection;
    collection.documents += 1;
    if (!document) return;
    try {
      requireBson(document);
    } catch (error) {
      throw new Error(
        `document ${collection.documents} of ${collection.name} is not sound: ${(error as Error).message}`,
      );
    }
    collection.crc?.add(document);
  }

  #head(document: Buffer): void {
    const fields = fieldsIn(document, this.#state);
    if (this.#state === "header") {
      this.serverVersion = String(fields.get("server_version") ?? "");
      this.#state = "prelude";
      return;
    }
    const [database, collection] = [fields.get("db"), fields.get("collection")];
    if (typeof database !== "string" || typeof collection !== "string")
      throw new Error("one of its headers names no collection");
    if (this.#state === "prelude") {
      if (database !== "") this.databases.add(database);
      const isTimeseries = fields.get("type") === "timeseries";
      this.#announced.push({ name: nameOf(database, collection), isTimeseries });
      return;
    }
    this.#beginSegment(nameOf(database, collection), fields);
  }

  #beginSegment(name: string, fields: ReturnType<typeof fieldsOf>): void {
    const known = this.collections.get(name);
    if (known?.isEnded) throw new Error(`${name} goes on behind its end`);
    const crc = this.#contents ? new Crc64() : null;
    const collection = known ?? { name, documents: 0, isEnded: false, hasChecksum: false, crc };
    this.collections.set(name, collection);
    this.#current = collection;
    this.#state = "segment";
    if (fields.get("EOF") !== true) return;
    this.#state = "ended";
    collection.isEnded = true;
    // Those of the first releases have none.
    const recorded = fields.get("CRC");
    collection.hasChecksum = typeof recorded === "bigint";
    if (collection.crc && typeof recorded === "bigint") requireSame(collection, BigInt.asUintN(64, recorded));
  }

  #endSegment(): void {
    if (this.#state === "between") throw new Error("a terminator follows another one");
    if (this.#state === "header") throw new Error("it has no prelude");
    this.#state = "between";
    this.#current = null;
  }

  get #shown(): string {
    return this.#current?.name ?? "";
  }

  /** What its last byte stands in the middle of; null between two segments. */
  get #unfinished(): string | null {
    if (this.#state === "between")
      return this.#left > 0 || this.#wordBytes > 0 ? "the header of a segment" : null;
    if (this.#state !== "segment" && this.#state !== "ended") return "its prelude";
    return `${this.#left > 0 ? "a document" : "a segment"} of ${this.#shown}`;
  }
}

function fieldsIn(document: Buffer, state: string): ReturnType<typeof fieldsOf> {
  try {
    return fieldsOf(document);
  } catch (error) {
    const which = state === "between" ? "a header of a segment" : "its prelude";
    throw new Error(`${which} is not sound: ${(error as Error).message}`);
  }
}

function requireSame({ name, crc }: ArchivedCollection, recorded: bigint): void {
  const found = crc?.value;
  if (found === recorded) return;
  throw new Error(
    `the documents of ${name} have the CRC-64 ${found?.toString(16)}, and ${recorded.toString(16)} was written`,
  );
}

/** The oplog belongs to no database. */
const nameOf = (database: string, collection: string): string =>
  database === "" ? collection : `${database}.${collection}`;

/** The documents of a time series are those of its buckets, which newer servers no longer call so. */
function namesOf({ name, isTimeseries }: { name: string; isTimeseries: boolean }): string[] {
  return isTimeseries ? [name.replace(".", ".system.buckets."), name] : [name];
}

/** Passes an archive on; throws when it is none, or when it is cut off. */
export async function* wholeArchive(dump: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  const archive = new MongoArchive({ contents: false });
  const followed = (step: () => void) => {
    try {
      step();
    } catch (error) {
      throw new Error(`the dump of ${what} is damaged: ${(error as Error).message}`);
    }
  };
  for await (const chunk of dump) {
    followed(() => archive.push(chunk));
    yield chunk;
  }
  followed(() => archive.finish());
}
