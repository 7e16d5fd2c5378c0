import type { RowCounts } from "./count-rows.ts";

const newline = 0x0a;
const backslash = 0x5c;
const dot = 0x2e;
const maxLineChars = 64 * 1024;

/** Counts the rows of each table in the SQL that pg_restore makes of a dump's data: one line each, between COPY and its end. */
export class CopyRows {
  readonly counts: RowCounts = new Map();
  readonly #database: string;
  #table: string | null = null;
  #rows = 0;
  /** The beginning of a line whose end has not come yet: of a row, its first two bytes are all that matters. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(database: string) {
    this.#database = database;
  }

  add(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      if (this.#rest.length > 0) this.#line(Buffer.concat([this.#rest, chunk.subarray(from, end)]));
      else this.#line(chunk, from, end);
      this.#rest = Buffer.alloc(0);
      from = end + 1;
    }
    const room = (this.#table === null ? maxLineChars : 3) - this.#rest.length;
    if (room > 0 && from < chunk.length) {
      this.#rest = Buffer.concat([this.#rest, chunk.subarray(from, from + room)]);
    }
  }

  #line(bytes: Buffer, from = 0, end = bytes.length): void {
    if (this.#table === null)
      return this.#begin(bytes.toString("utf8", from, Math.min(end, from + maxLineChars)));
    if (end - from === 2 && bytes[from] === backslash && bytes[from + 1] === dot) {
      this.counts.set(this.#table, (this.counts.get(this.#table) ?? 0) + this.#rows);
      this.#table = null;
    } else this.#rows += 1;
  }

  #begin(line: string): void {
    const [, schema, table] = /^COPY ("(?:[^"]|"")+"|[^".\s]+)\.("(?:[^"]|"")+"|[^".\s]+) /.exec(line) ?? [];
    if (schema === undefined || table === undefined || !line.endsWith(" FROM stdin;")) return;
    this.#table = `${this.#database}.${unquoted(schema)}.${unquoted(table)}`;
    this.#rows = 0;
  }
}

const unquoted = (name: string): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
