import { OutsideDestination } from "./confined-tree.ts";

/** Names from the root of the destination down; empty for the root itself. */
export type MemberPath = Buffer[];

const dot = Buffer.from(".");
const dotDot = Buffer.from("..");

/** Splits a name from an archive. One that would lead out of the destination is refused, not repaired. */
export function splitMemberPath(path: Buffer): MemberPath {
  if (path[0] === 47) throw new OutsideDestination(`the archive holds the absolute name ${path}`);
  const names: Buffer[] = [];
  for (let from = 0; from <= path.length; ) {
    const slash = path.indexOf(47, from);
    const end = slash < 0 ? path.length : slash;
    // A copy: the name may be a view of a large chunk.
    const name = Buffer.from(path.subarray(from, end));
    if (name.equals(dotDot)) throw new OutsideDestination(`the archive holds the name ${path}`);
    if (name.length > 0 && !name.equals(dot)) names.push(name);
    from = end + 1;
  }
  return names;
}

/** One string per path, byte for byte, for sets and maps. */
export const pathKey = (path: readonly Buffer[]): string =>
  path.map((name) => name.toString("latin1")).join("/");

/** Splits names; what neighbours share is split once, and they get the very same parent. */
export class NeighbouringPaths {
  #folder: Buffer = Buffer.alloc(0);
  #parent: MemberPath = [];
  #prefix = "";
  #path: MemberPath = [];

  split(name: Buffer): { path: MemberPath; key: string } {
    const slash = lastSlashIn(name);
    if (slash <= 0 || slash === name.length - 1) return this.#splitFully(name);
    if (!this.#isInFolder(name, slash)) {
      this.#folder = Buffer.from(name.subarray(0, slash));
      this.#parent = splitMemberPath(this.#folder);
      this.#prefix = pathKey(this.#parent);
    }
    const last = Buffer.from(name.subarray(slash + 1));
    if (last.length <= 2 && (last.equals(dot) || last.equals(dotDot))) return this.#splitFully(name);
    this.#path = [...this.#parent, last];
    const text = last.toString("latin1");
    return { path: this.#path, key: this.#prefix === "" ? text : `${this.#prefix}/${text}` };
  }

  /** So few bytes are compared sooner here than a call of Node's would take. */
  #isInFolder(name: Buffer, slash: number): boolean {
    const folder = this.#folder;
    if (folder.length !== slash) return false;
    for (let i = slash - 1; i >= 0; i -= 1) if (name[i] !== folder[i]) return false;
    return true;
  }

  /** The same array for every file of one directory. */
  parentOf(path: MemberPath): MemberPath {
    return path === this.#path ? this.#parent : path.slice(0, -1);
  }

  #splitFully(name: Buffer): { path: MemberPath; key: string } {
    const path = splitMemberPath(name);
    return { path, key: pathKey(path) };
  }
}

function lastSlashIn(name: Buffer): number {
  let at = name.length - 1;
  while (at >= 0 && name[at] !== 47) at -= 1;
  return at;
}

export type Relation = "inside" | "ancestor" | "outside";

/** What a user selected, by absolute paths. Null selects everything. */
export class Selection {
  /** The selected paths, and whether something was found for them. */
  readonly #wanted: { key: string; text: string; found: boolean }[] | null;

  constructor(paths: readonly string[] | null) {
    if (paths !== null && paths.length === 0) throw new Error("no path is selected for the restore");
    this.#wanted = paths?.map(toWanted) ?? null;
  }

  get isAll(): boolean {
    return this.#wanted === null;
  }

  /** Whether a member is selected, or is a directory above something selected. */
  relation(key: string): Relation {
    if (this.#wanted === null) return "inside";
    let relation: Relation = "outside";
    for (const wanted of this.#wanted) {
      if (isWithin(key, wanted.key)) {
        wanted.found = true;
        relation = "inside";
      } else if (relation === "outside" && isWithin(wanted.key, key)) relation = "ancestor";
    }
    return relation;
  }

  /** Throws when a selected path matched nothing. */
  requireAllFound(): void {
    const missing = this.#wanted?.filter(({ found }) => !found).map(({ text }) => text) ?? [];
    if (missing.length > 0) throw new Error(`not in this backup: ${missing.join(", ")}`);
  }
}

function toWanted(path: string): { key: string; text: string; found: boolean } {
  if (typeof path !== "string" || !path.startsWith("/")) {
    throw new Error(`a selected path must be absolute: ${JSON.stringify(path)}`);
  }
  const key = pathKey(splitMemberPath(Buffer.from(path.replace(/^\/+/, ""))));
  return { key, text: path, found: false };
}

const isWithin = (key: string, directory: string): boolean =>
  directory === "" || key === directory || key.startsWith(`${directory}/`);
