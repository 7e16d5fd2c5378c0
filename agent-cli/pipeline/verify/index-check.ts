import type { ArchiveIndex, IndexEntry } from "../archive-index.ts";
import { DamagedArtifact } from "../damaged.ts";
import type { FileSum } from "../file-sum.ts";
import { FileSumming } from "../file-summing.ts";
import { contentSize, deletedMember, memberName, type TarEntry } from "../tar-entry.ts";
import { toTarEntry } from "../to-tar-entry.ts";
import { type ListedEntry, withoutSlash } from "./archive-list.ts";

/**
 * Compares an archive, while it is read, with its index: the same entries in the same order, each with the same
 * attributes and content. What a differential backup left in its base is in the index alone, and after all entries comes
 * the list of what is to be removed from the base, which must be the index's too.
 */
export class IndexCheck {
  readonly #stored: Iterator<IndexEntry>;
  /** What a differential backup says is gone; null once that was read, and for a full backup. */
  #deleted: readonly Buffer[] | null;
  #current: { path: Buffer; sum: FileSum; summing: FileSumming } | null = null;

  constructor(index: ArchiveIndex) {
    this.#stored = storedIn(index);
    this.#deleted = index.base && index.deleted;
  }

  /** Whether it is something that was backed up, and no list. */
  entry(entry: TarEntry): boolean {
    const next = this.#stored.next();
    if (next.done && this.#deleted && entry.path.equals(deletedMember)) {
      this.#expect(entry.path, sumOfNames(this.#deleted));
      this.#deleted = null;
      return false;
    }
    if (next.done) throw unlike(entry.path, "is in the archive and not in its index");
    const indexed = next.value;
    const expected = toTarEntry(indexed);
    if (!entry.path.equals(expected.path)) {
      throw unlike(entry.path, `is in the archive where its index has ${indexed.path}`);
    }
    const other = attributes.find((name) => entry[name] !== expected[name]);
    if (other) throw unlike(entry.path, `has another ${other} in the archive than in its index`);
    if (entry.type === "file" && contentSize(entry) !== indexed.size)
      throw unlike(entry.path, "has another size in the archive than in its index");
    if (String(entry.linkPath) !== String(expected.linkPath))
      throw unlike(entry.path, "leads to another place in the archive than in its index");
    this.#expect(entry.path, indexed.sum);
    return true;
  }

  #expect(path: Buffer, sum: FileSum | null): void {
    this.#current = sum === null ? null : { path, sum, summing: new FileSumming(sum) };
  }

  /** Content of the entry that was last told, as it is stored. */
  content(bytes: Uint8Array): void {
    this.#current?.summing.add(bytes);
  }

  endContent(): void {
    if (this.#current === null) return;
    const { path, sum, summing } = this.#current;
    if (summing.sum() !== sum) throw unlike(path, "has another content in the archive than in its index");
  }

  finish(): void {
    const next = this.#stored.next();
    if (!next.done) throw unlike(next.value.path.subarray(1), "is in the index and not in the archive");
  }
}

const attributes = ["type", "mode", "uid", "gid", "mtimeNs"] as const;

function* storedIn({ entries }: ArchiveIndex): Generator<IndexEntry> {
  for (const entry of entries) if (entry.tarOffset >= 0) yield entry;
}

function sumOfNames(paths: readonly Buffer[]): FileSum {
  const summing = new FileSumming();
  for (const path of paths) {
    summing.add(memberName(path));
    summing.add(endOfName);
  }
  return summing.sum();
}

const endOfName = Buffer.alloc(1);

const unlike = (path: Buffer, how: string) => new DamagedArtifact(`/${withoutSlash(path)} ${how}`);

/** Everything that a restore of this backup must bring back, also what lies in its base. */
export async function* listedIn({ entries }: ArchiveIndex): AsyncGenerator<ListedEntry> {
  for (const entry of entries) {
    const member = toTarEntry(entry);
    const { sum, sparse } = entry;
    yield { ...member, path: withoutSlash(member.path), sum, asStored: sparse };
  }
}
