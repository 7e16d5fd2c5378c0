import type { RowCounts } from "./count-rows.ts";

const newline = 0x0a;
const quote = 0x27;
const open = 0x28;
const close = 0x29;
const semicolon = 0x3b;
const backslash = 0x5c;
const backtick = 0x60;
const letterV = 0x56;

/** A line is told by its beginning: the longest that matters names a table, of 64 characters. */
const maxHeadBytes = 1024;

const lockTable = /^LOCK TABLES `((?:[^`]|``)+)` WRITE;/;
const insert = /^INSERT (?:IGNORE )?INTO `((?:[^`]|``)+)` /;
const delimiter = /^DELIMITER (\S+)/;

/**
 * Counts the rows of each table in the SQL that mysqldump and mariadb-dump write: the values of its INSERT statements.
 * Routines and triggers, which may insert too, stand between two DELIMITER lines and are passed over. A table that the
 * dump locks and inserts nothing into has none.
 */
export class InsertRows {
  readonly counts: RowCounts = new Map();
  readonly #database: string;
  /** Within a line that is looked at; within the rest of one that is not; or within an INSERT. */
  #state: "head" | "line" | "columns" | "values" = "head";
  #head: number[] = [];
  #foreign = false;
  #table = "";
  #rows = 0;
  #depth = 0;
  /** The quote that ends the string or name that is being read, 0 outside of them. */
  #quote = 0;
  #escaped = false;

  constructor(database: string) {
    this.#database = database;
  }

  add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === "values") at = this.#values(chunk, at);
      else if (this.#state === "columns") at = this.#columns(chunk, at);
      else at = this.#line(chunk, at);
    }
  }

  /** Takes a line's beginning, and passes over the rest of one that means nothing. */
  #line(chunk: Uint8Array, from: number): number {
    const end = chunk.indexOf(newline, from);
    const to = end === -1 ? chunk.length : end;
    if (this.#state === "head") {
      for (let at = from; at < to; at++) {
        this.#head.push(chunk[at] as number);
        if (this.#head.length < maxHeadBytes && !this.#isAfterName()) continue;
        this.#begin();
        // What follows may be values already.
        return at + 1;
      }
    }
    if (end === -1) return to;
    if (this.#state === "head") this.#begin();
    this.#head = [];
    if (this.#state === "line") this.#state = "head";
    return to + 1;
  }

  /** An INSERT must be known before the values that follow on its line; its first byte tells nearly every other line. */
  #isAfterName(): boolean {
    const head = this.#head;
    return head[0] === 0x49 && head.at(-1) === 0x20 && head.at(-2) === backtick && insert.test(text(head));
  }

  #begin(): void {
    const head = text(this.#head);
    this.#head = [];
    this.#state = "line";
    const mark = delimiter.exec(head)?.[1];
    if (mark !== undefined) this.#foreign = mark !== ";";
    if (this.#foreign) return;
    const locked = lockTable.exec(head)?.[1];
    if (locked !== undefined) this.#count(locked, 0);
    const table = insert.exec(head)?.[1];
    if (table === undefined) return;
    this.#table = table;
    this.#rows = 0;
    this.#state = "columns";
  }

  /** Up to the word VALUES, past the names of columns if there are any. */
  #columns(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === backtick) this.#quote = this.#quote === 0 ? backtick : 0;
      else if (byte === letterV && this.#quote === 0) {
        this.#state = "values";
        return at + 1;
      }
    }
    return chunk.length;
  }

  #values(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#escaped) this.#escaped = false;
      else if (this.#quote !== 0) {
        if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#quote = 0;
      } else if (byte === quote) this.#quote = quote;
      else if (byte === open) {
        if (this.#depth === 0) this.#rows += 1;
        this.#depth += 1;
      } else if (byte === close) this.#depth -= 1;
      else if (byte === semicolon && this.#depth === 0) {
        this.#count(this.#table, this.#rows);
        this.#state = "line";
        return at + 1;
      }
    }
    return chunk.length;
  }

  #count(name: string, rows: number): void {
    const table = `${this.#database}.${name.replaceAll("``", "`")}`;
    this.counts.set(table, (this.counts.get(table) ?? 0) + rows);
  }
}

const text = (bytes: number[]): string => Buffer.from(bytes).toString();
