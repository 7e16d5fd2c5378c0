import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { ConfinedTree } from "./confined-tree.ts";
import { DamagedArtifact } from "./damaged.ts";
import { errorCode } from "./error-code.ts";
import type { FileSum } from "./file-sum.ts";
import { FileSumming, sumOf } from "./file-summing.ts";
import {
  type MemberPath,
  NeighbouringPaths,
  pathKey,
  type Selection,
  splitMemberPath,
} from "./member-path.ts";
import type { RestoreJob } from "./pipeline.ts";
import { type Plan, RestoreConflict } from "./plan-extraction.ts";
import type { TarEntry } from "./tar-entry.ts";
import {
  asideName,
  clearAside,
  isUnfinished,
  isUnfinishedDirectory,
  removeLeft,
  requireStillThere,
  unfinishedDirectoryMode,
  unfinishedMode,
} from "./unfinished-file.ts";
import type { TarHandler } from "./untar.ts";
import type { WarningList } from "./warnings.ts";

const fileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export type ExtractOptions = {
  destination: string;
  plan: Pick<Plan, "linkTargets" | "standIns" | "links">;
  selection: Selection;
  conflict: RestoreJob["conflict"];
  warnings: WarningList;
  /** Called with a complete file before it takes its place; what it throws keeps the file from doing so. */
  approve?: (temporaryPath: string, finalPath: string) => void;
  /** What a file's content must add up to; one with another sum never takes its place. */
  expectedSum?: (entry: TarEntry) => FileSum | null;
  /** Directories and links are somebody else's. */
  contentsOnly?: boolean;
  /** Nothing that is to be restored was there when that was looked at. */
  fresh?: boolean;
};

/** What is at the place where a member is to go, and may it be replaced? */
type Standing = "nothing" | "replaceable" | "kept";
type OpenFile = {
  entry: TarEntry;
  path: MemberPath;
  standing: Standing;
  check: ContentCheck | null;
  /** Set when it is written under another name. */
  temporary: Buffer | null;
  fd: number;
};
/** What a new file in a directory is like before anything was done to it. Some pass their group on, some know no modes. */
type Newborn = { parent: MemberPath; uid: number; gid: number; marked: boolean };
type Attributes = Pick<TarEntry, "mode" | "uid" | "gid" | "mtimeNs">;

/**
 * Writes an archive's members below the destination, and nowhere else. A file whose content is at hand in one piece, and is
 * what it must be, is made under its own name, marked as unfinished until all of it is written. Any other is written under
 * a temporary name and takes its own when it is complete. Directories get their modes and times at the end, in `finish`.
 */
export class Extractor implements TarHandler {
  entries = 0;
  bytes = 0;
  kept = 0;
  currentPath: Buffer | null = null;
  readonly #options: ExtractOptions;
  readonly #tree: ConfinedTree;
  #targets: ConfinedTree | null = null;
  readonly #ownUid = process.geteuid?.();
  readonly #ownGid = process.getegid?.();
  readonly #isRoot = this.#ownUid === 0;
  #fresh: boolean;
  #newborn: Newborn | null = null;
  readonly #directories: { path: MemberPath; attributes: Attributes }[] = [];
  /** Members that were linked to and where their content really is. */
  readonly restoredTargets = new Map<string, MemberPath>();
  /** Nobody else's names can be guessed from one, and each costs no new random number. */
  readonly #temporaryPrefix = `.backupx-${randomBytes(9).toString("hex")}-`;
  #temporaries = 0;
  readonly #paths = new NeighbouringPaths();
  #file: OpenFile | null = null;

  constructor(options: ExtractOptions) {
    this.#options = options;
    this.#fresh = options.fresh ?? false;
    this.#tree = ConfinedTree.create(options.destination, options.plan.links);
  }

  /** Removes what a killed restore has left beside what this one restores. To be called before anything is written. */
  removeLeft(left: readonly MemberPath[]): void {
    for (const path of left) {
      const place = this.#tree.at(path.slice(0, -1), path.at(-1) as Buffer, false);
      if (place !== null) this.#writing(path, () => removeLeft(place));
    }
  }

  entry(entry: TarEntry): void {
    this.currentPath = entry.path;
    const isStructure = entry.type === "directory" || entry.type === "link";
    if (this.#options.contentsOnly && isStructure) return;
    const { path, key } = this.#paths.split(entry.path);
    if (path.length === 0) return;
    const relation = this.#options.selection.relation(key);
    if (relation === "ancestor" && entry.type === "directory") this.#makeAncestor(path, entry);
    // Most archives have none, and to look a path up costs more than to see that.
    const { standIns } = this.#options.plan;
    const standIn = standIns.size > 0 && entry.type === "file" ? standIns.get(key) : undefined;
    if (standIn) this.#beginFile(entry, standIn, key);
    else if (relation === "inside") this.#restore(entry, path, key);
  }

  sparseMap(map: Buffer): void {
    this.#file?.check?.add(map);
  }

  data(bytes: Buffer, offset: number): void {
    const file = this.#file;
    if (!file) return;
    const { entry, fd } = file;
    const isWhole = fd < 0 && !entry.sparse && bytes.length === entry.size;
    if (isWhole) file.check?.whole(bytes);
    else file.check?.add(bytes);
    this.bytes += bytes.length;
    if (isWhole && this.#writeAtOnce(file, bytes)) return;
    if (file.fd < 0) this.#openTemporary(file);
    this.#writing(file.path, () => writeFully(file.fd, bytes, offset));
  }

  endEntry(): void {
    const file = this.#file;
    if (!file) return;
    if (file.entry.size === 0 && this.#writeAtOnce(file, nothing)) return;
    this.#requireFit(file);
    if (file.fd < 0) this.#openTemporary(file);
    this.#writing(file.path, () => {
      if (file.entry.sparse) ftruncateSync(file.fd, file.entry.sparse.realSize);
      this.#applyTo(file.fd, file.entry, file.path);
    });
    const temporary = file.temporary as Buffer;
    requireStillThere(file.fd, temporary, this.#tree.display(file.path));
    closeSync(file.fd);
    file.fd = -1;
    this.#options.approve?.(temporary.toString(), this.#tree.display(file.path));
    this.#place(file.path, temporary);
    this.#file = null;
  }

  /** Gives directories their own modes and times, the inner ones first. */
  finish(): void {
    for (const { path, attributes } of this.#directories.reverse()) {
      const fd = this.#tree.open(path, false);
      if (fd !== null) this.#applyTo(fd, attributes, path);
    }
  }

  /** Leaves no half-written file behind, however the restore ended. */
  close(): void {
    if (this.#file) {
      const { fd, temporary } = this.#file;
      if (fd >= 0) closeSync(fd);
      if (temporary) rmSync(temporary, { force: true });
      this.#file = null;
    }
    this.#tree.close();
    this.#targets?.close();
  }

  #restore(entry: TarEntry, path: MemberPath, key: string): void {
    switch (entry.type) {
      case "directory":
        this.#makeDirectory(path, entry);
        this.entries += 1;
        break;
      case "file":
        this.#beginFile(entry, path, key);
        break;
      case "link":
        this.#makeLink(entry, path);
        break;
      case "symlink":
        this.#makeSymlink(entry, path);
        break;
      default:
        this.#makeNode(entry, path);
    }
  }

  #makeAncestor(path: MemberPath, entry: TarEntry): void {
    const existing = this.#tree.stat(this.#paths.parentOf(path), path.at(-1) as Buffer);
    if (existing === null || isUnfinishedDirectory(existing)) this.#makeDirectory(path, entry);
  }

  #makeDirectory(path: MemberPath, entry: TarEntry): void {
    const existing = this.#tree.stat(this.#paths.parentOf(path), path.at(-1) as Buffer);
    if (!existing) this.#writing(path, () => mkdirSync(this.#at(path), unfinishedDirectoryMode));
    this.#tree.open(path, false);
    // A directory that was there is somebody's own when what is in it is kept.
    const isSomebodys = existing !== null && !isUnfinishedDirectory(existing);
    if (isSomebodys && this.#options.conflict === "keep") return;
    this.#directories.push({ path, attributes: entry });
  }

  #beginFile(entry: TarEntry, path: MemberPath, key: string): void {
    const standing = this.#standing(path);
    if (standing === "kept") return;
    const { linkTargets } = this.#options.plan;
    if (linkTargets.size > 0 && linkTargets.has(key)) this.restoredTargets.set(key, path);
    const expected = this.#options.expectedSum?.(entry) ?? null;
    const check = expected === null ? null : new ContentCheck(expected);
    this.#file = { entry, path, standing, check, temporary: null, fd: -1 };
  }

  #requireFit({ check, path }: OpenFile): void {
    if (check?.fits() === false)
      throw new DamagedArtifact(`the content of ${this.#tree.display(path)} is not what was backed up`);
  }

  #openTemporary(file: OpenFile): void {
    const temporary = this.#aside(file.path);
    file.fd = this.#writing(file.path, () => openSync(temporary, fileFlags, unfinishedMode));
    file.temporary = temporary;
  }

  /** Makes a file of content that is at hand whole. False when it must be written aside. */
  #writeAtOnce(file: OpenFile, content: Buffer): boolean {
    const { entry, path, check, standing } = file;
    if (!check || entry.sparse || this.#options.approve || standing !== "nothing") return false;
    this.#requireFit(file);
    const place = this.#at(path);
    const fd = this.#createMarked(path, place);
    if (fd === null) return this.#isKeptNow(file);
    try {
      this.#writing(path, () => writeFully(fd, content, 0));
      this.#applyTo(fd, entry, path);
    } catch (error) {
      rmSync(place, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    this.entries += 1;
    this.#file = null;
    return true;
  }

  /** A new file that is marked as unfinished; null where something has come in between, or files cannot be marked. */
  #createMarked(path: MemberPath, place: Buffer): number | null {
    const parent = this.#paths.parentOf(path);
    if (this.#newborn?.parent === parent && !this.#newborn.marked) return null;
    const fd = this.#writing(path, () => openNew(place));
    if (fd === null || this.#newbornIn(path, fd).marked) return fd;
    closeSync(fd);
    rmSync(place);
    return null;
  }

  /** Looks again at what nothing was at: somebody else may be at work here. */
  #isKeptNow(file: OpenFile): boolean {
    this.#fresh = false;
    file.standing = this.#standing(file.path);
    if (file.standing === "kept") this.#file = null;
    return file.standing === "kept";
  }

  #newbornIn(path: MemberPath, fd: number): Newborn {
    const parent = this.#paths.parentOf(path);
    if (this.#newborn?.parent !== parent) {
      const { uid, gid, mode } = fstatSync(fd);
      this.#newborn = { parent, uid, gid, marked: (mode & 0o7777) === unfinishedMode };
    }
    return this.#newborn;
  }

  #makeLink(entry: TarEntry, path: MemberPath): void {
    const target = splitMemberPath(entry.linkPath as Buffer);
    const content = this.restoredTargets.get(pathKey(target));
    if (content && pathKey(content) === pathKey(path)) return;
    if (this.#standing(path) === "kept") return;
    if (!content)
      throw new DamagedArtifact(`${entry.path} links to ${entry.linkPath}, which is not before it`);
    const temporary = this.#aside(path);
    // By a tree of its own: entering the target's directory would close the one that `temporary` lies in.
    this.#targets ??= ConfinedTree.create(this.#options.destination, this.#options.plan.links);
    const source = this.#targets.at(content.slice(0, -1), content.at(-1) as Buffer, false);
    if (source === null) throw new DamagedArtifact(`${entry.path} links to ${entry.linkPath}, which is gone`);
    this.#writing(path, () => linkSync(source, temporary));
    this.#place(path, temporary);
  }

  #makeSymlink(entry: TarEntry, path: MemberPath): void {
    if (this.#standing(path) === "kept") return;
    const temporary = this.#aside(path);
    this.#writing(path, () => symlinkSync(entry.linkPath as Buffer, temporary));
    if (this.#isRoot) this.#tolerating(path, "owner", () => lchownSync(temporary, entry.uid, entry.gid));
    const seconds = toSeconds(entry.mtimeNs);
    this.#tolerating(path, "time", () => lutimesSync(temporary, seconds, seconds));
    this.#place(path, temporary);
  }

  /** Pipes and devices, which only the system's own tools can make. */
  #makeNode(entry: TarEntry, path: MemberPath): void {
    if (this.#standing(path) === "kept") return;
    const temporary = this.#aside(path);
    // The tool sees the directory that is open here by way of this process.
    const visible = temporary.toString("latin1").replace("/proc/self/", `/proc/${process.pid}/`);
    const device =
      entry.type === "fifo"
        ? ["p"]
        : [entry.type === "char" ? "c" : "b", `${entry.devMajor}`, `${entry.devMinor}`];
    const made = spawnSync("mknod", ["-m", entry.mode.toString(8), visible, ...device], { encoding: "utf8" });
    if (made.status !== 0) {
      this.#options.warnings.add(this.#tree.display(path), `this ${entry.type} could not be created`);
      return;
    }
    if (this.#isRoot) this.#tolerating(path, "owner", () => lchownSync(temporary, entry.uid, entry.gid));
    const seconds = toSeconds(entry.mtimeNs);
    this.#tolerating(path, "time", () => lutimesSync(temporary, seconds, seconds));
    this.#place(path, temporary);
  }

  #standing(path: MemberPath): Standing {
    if (this.#fresh) return "nothing";
    const existing = this.#tree.stat(this.#paths.parentOf(path), path.at(-1) as Buffer);
    if (!existing) return "nothing";
    if (this.#options.conflict === "overwrite" || isUnfinished(existing)) return "replaceable";
    if (this.#options.conflict === "fail") throw new RestoreConflict([this.#tree.display(path)], 1);
    this.kept += 1;
    return "kept";
  }

  #place(path: MemberPath, temporary: Buffer): void {
    try {
      this.#writing(path, () => renameSync(temporary, this.#at(path)));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    this.entries += 1;
  }

  #at(path: MemberPath): Buffer {
    return this.#tree.at(this.#paths.parentOf(path), path.at(-1) as Buffer, true) as Buffer;
  }

  /** Where something is made before it takes its place: under the name that is looked for after a kill, if that is free. */
  #aside(path: MemberPath): Buffer {
    const place = this.#beside(path, Buffer.from(asideName(path.at(-1) as Buffer)));
    if (clearAside(place)) return place;
    this.#temporaries += 1;
    return this.#beside(path, Buffer.from(`${this.#temporaryPrefix}${this.#temporaries}`));
  }

  #beside(path: MemberPath, name: Buffer): Buffer {
    return this.#writing(path, () => this.#tree.at(this.#paths.parentOf(path), name, true) as Buffer);
  }

  /** The mode comes last: with it, a file is no longer marked as unfinished. */
  #applyTo(fd: number, attributes: Attributes, path: MemberPath): void {
    const { uid, gid, mode, mtimeNs } = attributes;
    const owned =
      this.#isRoot &&
      (this.#isBornRight(path, fd, attributes) ||
        this.#tolerating(path, "owner", () => fchownSync(fd, uid, gid)));
    const seconds = toSeconds(mtimeNs);
    this.#tolerating(path, "time", () => futimesSync(fd, seconds, seconds));
    // A program that ran as its owner must not come to run as somebody else.
    const allowed = owned || uid === this.#ownUid ? mode : mode & 0o1777;
    this.#tolerating(path, "mode", () => fchmodSync(fd, allowed));
  }

  /** Whether what this process makes there has these owners from the start. */
  #isBornRight(path: MemberPath, fd: number, { uid, gid }: Attributes): boolean {
    if (!this.#options.contentsOnly || uid !== this.#ownUid || gid !== this.#ownGid) return false;
    const newborn = this.#newbornIn(path, fd);
    return newborn.uid === uid && newborn.gid === gid;
  }

  /** Some file systems have no owners or modes: the content matters more. */
  #tolerating(path: MemberPath, what: string, apply: () => void): boolean {
    try {
      apply();
      return true;
    } catch (error) {
      this.#options.warnings.add(
        this.#tree.display(path),
        `its ${what} could not be restored: ${errorCode(error)}`,
      );
      return false;
    }
  }

  /** Says in plain words which file met a full disk or a missing permission. */
  #writing<Result>(path: MemberPath, write: () => Result): Result {
    try {
      return write();
    } catch (error) {
      const code = errorCode(error);
      const place = this.#tree.display(path);
      if (code === "ENOSPC" || code === "EDQUOT")
        throw new Error(`no space left to restore ${place}`, { cause: error });
      if (/^E[A-Z]+$/.test(code))
        throw new Error(`${place} could not be restored: ${code}`, { cause: error });
      throw error;
    }
  }
}

/** Compares a file's content, as it stands in the archive, with its checksum. */
class ContentCheck {
  readonly #expected: FileSum;
  #summing: FileSumming | null = null;
  #sum: FileSum | null = null;

  constructor(expected: FileSum) {
    this.#expected = expected;
  }

  /** What is all of the content is summed by one call. */
  whole(content: Buffer): void {
    this.#sum = sumOf(content, this.#expected);
  }

  add(bytes: Buffer): void {
    this.#summing ??= new FileSumming(this.#expected);
    this.#summing.add(bytes);
  }

  fits(): boolean {
    const sum = this.#sum ?? this.#summing?.sum() ?? sumOf(nothing, this.#expected);
    return sum === this.#expected;
  }
}

const nothing = Buffer.alloc(0);

/** Null when there is something. */
function openNew(place: Buffer): number | null {
  try {
    return openSync(place, fileFlags, unfinishedMode);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return null;
    throw error;
  }
}

function writeFully(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  }
}

/** Node takes times as floating-point seconds, which keeps them to about a quarter of a microsecond. */
const toSeconds = (ns: bigint): number => Number(ns / 1_000_000_000n) + Number(ns % 1_000_000_000n) / 1e9;
