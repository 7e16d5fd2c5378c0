import { type BigIntStats, readdirSync } from "node:fs";
import { ConfinedTree, OutsideDestination } from "./confined-tree.ts";
import { DamagedArtifact } from "./damaged.ts";
import { placeOf, type Survey } from "./dry-run.ts";
import {
  type MemberPath,
  NeighbouringPaths,
  pathKey,
  type Selection,
  splitMemberPath,
} from "./member-path.ts";
import type { RestoreJob } from "./pipeline.ts";
import type { StandingLinks } from "./standing-links.ts";
import { contentSize, type TarEntry } from "./tar-entry.ts";
import { asideStart, isUnfinished, leftBeside, mayBeLeft } from "./unfinished-file.ts";
import type { TarHandler } from "./untar.ts";

const namedConflicts = 5;
const dot = Buffer.from(".");
const dotByte = 0x2e;

/** Something stands where a file is to be restored, and may not be replaced. Nothing was written. */
export class RestoreConflict extends Error {
  constructor(paths: readonly string[], count: number) {
    const more = count > paths.length ? ` and ${count - paths.length} more` : "";
    super(`the restore would replace what exists: ${paths.join(", ")}${more}`);
    this.name = "RestoreConflict";
  }
}

/** What the first reading of an archive finds out for the second one, which writes. */
export type Plan = {
  entries: number;
  bytes: number;
  /** Members that other names link to. */
  linkTargets: ReadonlySet<string>;
  /** Where the content of a link's target goes when the target itself is not restored: to its first link. */
  standIns: ReadonlyMap<string, MemberPath>;
  /** Members that are not restored, because what stands in their place is kept. */
  kept: ReadonlySet<string>;
  /** Nothing that is to be restored exists. */
  fresh: boolean;
  /** Links above what is restored that are gone through; null where none is. */
  links: StandingLinks | null;
  /** What a killed restore has left beside what is restored now. */
  left: readonly MemberPath[];
};

/**
 * Reads an archive without writing: checks every name against the destination, finds conflicts and unmatched
 * selections. What it refuses was refused before the first byte is restored.
 */
export class Planner implements TarHandler {
  readonly #tree: ConfinedTree | null;
  readonly #standing: StandingLinks | null;
  readonly #selection: Selection;
  readonly #conflict: RestoreJob["conflict"];
  readonly #conflicts: string[] = [];
  #conflictCount = 0;
  #entries = 0;
  #bytes = 0;
  readonly #symlinks = new Set<string>();
  /** The folder of the last entry that was found to lie behind none of them: a link that comes in between has another. */
  #behindNone: MemberPath | null = null;
  readonly #linkTargets = new Set<string>();
  readonly #links: { target: string; path: MemberPath }[] = [];
  /** Under "keep": what exists and stays. */
  readonly #kept = new Set<string>();
  #fresh = true;
  readonly #paths = new NeighbouringPaths();
  /** What the names below the last directory that is missing begin with: nothing of them is there either. */
  #missing: string | null = null;
  /** The last folder that is missing. */
  #missingFolder: MemberPath | null = null;
  #folder: MemberPath | null = null;
  /** Names in that folder that a killed restore may have left. */
  #suspects: ReadonlySet<string> = new Set();
  readonly #left = new Map<string, MemberPath>();
  /** Members that are called like that themselves. */
  readonly #own = new Set<string>();

  readonly #destination: string;
  readonly #survey: Survey | null;

  /** With a survey, what would stop the restore is written down there instead of being thrown. */
  constructor(
    destination: string,
    selection: Selection,
    conflict: RestoreJob["conflict"],
    survey: Survey | null = null,
  ) {
    this.#destination = destination;
    this.#survey = survey;
    // Below any other destination, what is there may be from another archive.
    this.#standing = destination === "/" ? new Map() : null;
    this.#tree = ConfinedTree.openExisting(destination, this.#standing);
    this.#selection = selection;
    this.#conflict = conflict;
  }

  entry(entry: TarEntry): void {
    if (!this.#survey) return this.#plan(entry);
    try {
      this.#plan(entry);
    } catch (error) {
      const stops = error instanceof OutsideDestination || error instanceof RestoreConflict;
      if (!stops) throw error;
      this.#survey.add("refuse", `/${entry.path}`, contentSize(entry), error.message);
    }
  }

  data(): void {}
  endEntry(): void {}

  #plan(entry: TarEntry): void {
    const { path, key } = this.#paths.split(entry.path);
    this.#refuseBelowSymlink(path, key, entry);
    if (path.length === 0) {
      if (entry.type !== "directory") throw new DamagedArtifact("a member has no proper name");
      return;
    }
    if (entry.type === "symlink") this.#symlinks.add(key);
    const target = entry.type === "link" && entry.linkPath ? pathKey(splitMemberPath(entry.linkPath)) : null;
    if (this.#selection.relation(key) !== "inside") return;
    if (path.at(-1)?.[0] === dotByte && key.includes(asideStart)) this.#own.add(key);
    this.#entries += 1;
    if (entry.type === "file") this.#bytes += contentSize(entry);
    const kept = this.#checkPlace(path, key, entry);
    if (target !== null && !kept) {
      this.#linkTargets.add(target);
      this.#links.push({ target, path });
    }
  }

  /** To be called when the archive was read to its end. */
  finish(): Plan {
    this.#selection.requireAllFound();
    if (this.#conflictCount > 0 && !this.#survey)
      throw new RestoreConflict(this.#conflicts, this.#conflictCount);
    const stand: Map<string, MemberPath> = new Map();
    for (const { target, path } of this.#links) {
      const restored = this.#selection.relation(target) === "inside" && !this.#kept.has(target);
      if (!restored && !stand.has(target)) stand.set(target, path);
    }
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      linkTargets: this.#linkTargets,
      standIns: stand,
      kept: this.#kept,
      fresh: this.#fresh,
      links: this.#standing,
      left: [...this.#left].filter(([key]) => !this.#own.has(key)).map(([, path]) => path),
    };
  }

  close(): void {
    this.#tree?.close();
  }

  #refuseBelowSymlink(path: MemberPath, key: string, entry: TarEntry): void {
    if (this.#symlinks.size === 0) return;
    const folder = this.#paths.parentOf(path);
    if (folder === this.#behindNone) return;
    for (let slash = key.indexOf("/"); slash > 0; slash = key.indexOf("/", slash + 1)) {
      if (this.#symlinks.has(key.slice(0, slash))) {
        throw new OutsideDestination(`in the archive, ${entry.path} lies behind a symbolic link`);
      }
    }
    this.#behindNone = folder;
  }

  /** True when what is there stays. */
  #checkPlace(path: MemberPath, key: string, entry: TarEntry): boolean {
    const existing = this.#existing(path, key, entry);
    if (existing && existing.isDirectory() !== (entry.type === "directory"))
      throw this.#otherKind(path, existing);
    this.#note(path, entry, existing);
    if (existing && !existing.isDirectory()) this.#fresh = false;
    if (!existing || entry.type === "directory") return false;
    if (this.#conflict === "fail") {
      this.#conflictCount += 1;
      if (this.#conflicts.length < namedConflicts) this.#conflicts.push(this.#display(path));
    } else if (this.#conflict === "keep") this.#kept.add(key);
    return this.#conflict === "keep";
  }

  #existing(path: MemberPath, key: string, entry: TarEntry): BigIntStats | null {
    const folder = this.#paths.parentOf(path);
    if (folder === this.#missingFolder) return null;
    if (this.#missing !== null && key.startsWith(this.#missing)) {
      this.#missingFolder = folder;
      return null;
    }
    const existing = this.#tree?.stat(folder, path.at(-1) as Buffer) ?? null;
    if (!existing && entry.type === "directory") this.#missing = `${key}/`;
    if (entry.type !== "directory") this.#findLeft(path);
    if (!existing || !isUnfinished(existing)) return existing;
    this.#fresh = false;
    return null;
  }

  #findLeft(path: MemberPath): void {
    const folder = this.#paths.parentOf(path);
    if (folder !== this.#folder) {
      this.#folder = folder;
      this.#suspects = this.#suspectsIn(folder);
    }
    if (this.#suspects.size === 0) return;
    for (const name of leftBeside(path.at(-1) as Buffer)) {
      const left = [...folder, Buffer.from(name)];
      if (this.#suspects.has(name)) this.#left.set(pathKey(left), left);
    }
  }

  #suspectsIn(folder: MemberPath): ReadonlySet<string> {
    const itself = this.#tree?.at(folder, dot, false) ?? null;
    return new Set(itself === null ? [] : readdirSync(itself, "latin1").filter(mayBeLeft));
  }

  #note(path: MemberPath, entry: TarEntry, existing: BigIntStats | null): void {
    if (!this.#survey) return;
    const fates = { fail: "refuse", keep: "keep", overwrite: "overwrite" } as const;
    const stays = existing?.isDirectory() === true;
    const fate = !existing ? "create" : stays ? "keep" : fates[this.#conflict];
    const size = entry.type === "file" ? contentSize(entry) : 0;
    const place = placeOf(this.#destination, path);
    this.#survey.add(fate, place, size, fate === "refuse" ? "it exists" : undefined);
  }

  #otherKind(path: MemberPath, existing: BigIntStats): Error {
    if (existing.isSymbolicLink()) {
      return new OutsideDestination(`${this.#display(path)} is a symbolic link, which is not followed`);
    }
    const kinds = existing.isDirectory()
      ? "a directory, the backup has a file"
      : "a file, the backup has a directory";
    return new RestoreConflict([`${this.#display(path)} (it is ${kinds} there)`], 1);
  }

  #display(path: MemberPath): string {
    return this.#tree?.display(path) ?? pathKey(path);
  }
}
