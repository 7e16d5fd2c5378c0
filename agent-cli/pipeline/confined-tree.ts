import { type BigIntStats, closeSync, constants, existsSync, lstatSync, mkdirSync, openSync } from "node:fs";
import { makeFolders } from "../make-folders.ts";
import { errorCode } from "./error-code.ts";
import { bytesOf, type StandingLinks, trustedDirectory } from "./standing-links.ts";

/** A restore would have left its destination. Nothing is written through the path that is named. */
export class OutsideDestination extends Error {
  constructor(reason: string) {
    super(`refused: ${reason}`);
    this.name = "OutsideDestination";
  }
}

/** `place` is what its entries' names are put behind. */
type OpenDirectory = { name: Buffer; fd: number; place?: Buffer };

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const slash = Buffer.from("/");

/**
 * A directory tree that is only ever entered name by name, never through a symbolic link: each directory is opened from
 * its opened parent (by way of /proc/self/fd), so that a link which someone puts in the way meanwhile is not followed
 * either. Where there is no /proc, each step is checked before it is taken. The root itself may be or contain links.
 *
 * The one exception are standing links, for a restore in place: whoever looks before anything is written notes those that
 * can be trusted, and whoever writes goes where these led then, and through no other.
 */
export class ConfinedTree {
  readonly #root: Buffer;
  readonly #links: StandingLinks | null;
  readonly #notes: boolean;
  readonly #byDescriptor = existsSync("/proc/self/fd");
  /** The root and the directories entered from there, down to the one that was used last. */
  #chain: OpenDirectory[];
  /** The very array that the chain stands for, so that file after file of a directory needs no comparing. */
  #lastOpened: readonly Buffer[] | null = null;

  static create(root: string, links: StandingLinks | null = null): ConfinedTree {
    makeFolders(root);
    return new ConfinedTree(root, links, false);
  }

  /** To look, and to note standing links; null when the root does not exist. */
  static openExisting(root: string, links: StandingLinks | null = null): ConfinedTree | null {
    return existsSync(root) ? new ConfinedTree(root, links, true) : null;
  }

  private constructor(root: string, links: StandingLinks | null, notes: boolean) {
    this.#root = Buffer.from(root);
    this.#links = links;
    this.#notes = notes;
    this.#chain = [{ name: Buffer.from(root), fd: openRoot(root) }];
  }

  /** A path for the system calls that means `name` in that directory and nothing else; null when it is missing. */
  at(directory: readonly Buffer[], name: Buffer, create: boolean): Buffer | null {
    const opened = this.open(directory, create);
    return opened === null ? null : this.#child(directory.length, name);
  }

  /** The descriptor of a directory below the root; null when it is missing and not to be created. */
  open(directory: readonly Buffer[], create: boolean): number | null {
    const last = this.#chain.at(-1);
    if (last && directory === this.#lastOpened) return last.fd;
    const fd = this.#reach(directory, create);
    this.#lastOpened = fd === null ? null : directory;
    return fd;
  }

  #reach(directory: readonly Buffer[], create: boolean): number | null {
    this.#leaveUntil(directory);
    while (this.#chain.length <= directory.length) {
      const name = directory[this.#chain.length - 1] as Buffer;
      const fd = this.#enter(directory.slice(0, this.#chain.length), name, create);
      if (fd === null) return null;
      this.#chain.push({ name, fd });
    }
    return (this.#chain[directory.length] as OpenDirectory).fd;
  }

  stat(directory: readonly Buffer[], name: Buffer): BigIntStats | null {
    const path = this.at(directory, name, false);
    return path === null ? null : (lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null);
  }

  close(): void {
    for (const { fd } of this.#chain) closeSync(fd);
    this.#chain = [];
    this.#lastOpened = null;
  }

  #leaveUntil(directory: readonly Buffer[]): void {
    let shared = 1;
    while (shared < this.#chain.length && isSame(this.#chain[shared]?.name, directory[shared - 1]))
      shared += 1;
    for (const { fd } of this.#chain.splice(shared)) closeSync(fd);
  }

  #enter(path: Buffer[], name: Buffer, create: boolean): number | null {
    const place = this.#child(path.length - 1, name);
    if (!this.#byDescriptor) this.#requireNoLink(path, place);
    try {
      return openSync(place, directoryFlags);
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT" && !create) return null;
      if (code === "ENOENT") {
        mkdirSync(place, 0o755);
        return openSync(place, directoryFlags);
      }
      if (code !== "ENOTDIR" && code !== "ELOOP") throw error;
      const standing = this.#standing(path);
      if (standing === null) throw this.#inTheWay(path, place);
      return openSync(bytesOf(standing), directoryFlags);
    }
  }

  #standing(path: Buffer[]): string | null {
    if (!this.#links) return null;
    const key = path.map((name) => name.toString("latin1")).join("/");
    const known = this.#links.get(key) ?? null;
    if (known !== null || !this.#notes) return known;
    const found = trustedDirectory(`${this.#root.toString("latin1")}/${key}`);
    if (found !== null) this.#links.set(key, found);
    return found;
  }

  #child(depth: number, name: Buffer): Buffer {
    if (this.#byDescriptor) return behind(this.#chain[depth] as OpenDirectory, name);
    const names = this.#chain.slice(0, depth + 1).flatMap((directory) => [directory.name, slash]);
    return Buffer.concat([...names, name]);
  }

  #requireNoLink(path: Buffer[], place: Buffer): void {
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (stat && !stat.isDirectory()) throw this.#inTheWay(path, place);
  }

  #inTheWay(path: Buffer[], place: Buffer): OutsideDestination {
    const isLink = lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
    const kind = isLink ? "a symbolic link, which is not followed" : "not a directory";
    return new OutsideDestination(`${this.display(path)} is ${kind}`);
  }

  /** The path as people know it. */
  display(path: readonly Buffer[]): string {
    const root = this.#root.toString().replace(/\/$/, "");
    return `${root}/${path.map((name) => name.toString()).join("/")}`;
  }
}

function openRoot(root: string): number {
  try {
    return openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errorCode(error) === "ENOTDIR")
      throw new Error(`the destination ${root} is not a directory`, { cause: error });
    throw error;
  }
}

function behind(directory: OpenDirectory, name: Buffer): Buffer {
  directory.place ??= Buffer.from(`/proc/self/fd/${directory.fd}/`);
  const path = Buffer.allocUnsafe(directory.place.length + name.length);
  path.set(directory.place);
  path.set(name, directory.place.length);
  return path;
}

const isSame = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a !== undefined && b !== undefined && a.equals(b);
