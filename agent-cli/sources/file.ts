import { lstatSync, readlinkSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { type IndexEntry, unsureCtime } from "../pipeline/archive-index.ts";
import { mapInOrder } from "../pipeline/map-in-order.ts";
import type { Frame } from "../pipeline/pack-requests.ts";
import type { Base } from "../pipeline/pipeline.ts";
import { TarWriter } from "../pipeline/tar.ts";
import { deletedMember, memberName } from "../pipeline/tar-entry.ts";
import type { Warned } from "../pipeline/warnings.ts";
import { compareBase } from "./compare-base.ts";
import { compareOptions, compareSettings } from "./compare-segment.ts";
import { compileExcludes } from "./excludes.ts";
import { FilePacker } from "./file-packer.ts";
import { HardLinks } from "./hard-links.ts";
import { previewFiles } from "./preview-files.ts";
import { ReadAhead } from "./read-ahead.ts";
import { newTally, type Source, type SourceContext } from "./source.ts";
import { identities, vanishedOr, type WalkOptions, walk } from "./walk.ts";
import { BaseWalk, type Step } from "./walk-base.ts";

/**
 * Files and directories as a tar stream. A file that vanishes, shrinks, grows or cannot be read is a warning; the
 * archive is well-formed all the same. Symbolic links are stored as links, sockets left out.
 *
 * This thread walks the tree and reads it into slabs, which other threads compress. What fits into one frame lies in one; a
 * large file is cut over frames of its own.
 */
export const fileSource: Source<{
  type: "file";
  paths: string[];
  excludes: string[];
  oneFileSystem: boolean;
}> = {
  extension: () => "tar",
  preview: previewFiles,
  async open(spec, context) {
    const packing = new Packing(context);
    const walked = stretches(spec.paths, context, {
      excludes: compileExcludes(spec.excludes),
      oneFileSystem: spec.oneFileSystem,
      ownPaths: ownPathsOf(context),
      warnings: packing.notes,
    });
    return { frames: packing.frames(walked), tally: packing.tally };
  },
};

type Stretches = Iterable<Iterable<Step>> | AsyncIterable<Iterable<Step>>;

/** The walk in stretches: all of it, or along a base one after each of its segments, which threads have compared. */
function stretches(paths: readonly string[], context: SourceContext, options: WalkOptions): Stretches {
  const { base } = context;
  return base ? alongBase(base, paths, context, options) : [walk(paths, options)];
}

async function* alongBase(
  { index: { entries, deleted } }: Base,
  paths: readonly string[],
  { threads, signal }: SourceContext,
  options: WalkOptions,
): AsyncGenerator<Iterable<Step>> {
  const along = new BaseWalk(entries, paths, options);
  const asked = compareOptions(compareSettings(paths, deleted));
  for await (const { segment, compared } of compareBase(entries.segments, threads, asked, signal)) {
    yield along.segment(segment, compared);
  }
  yield along.end();
}

const ownPathsOf = ({ workDir, ownPaths }: SourceContext): string[] => [workDir, ...ownPaths];

/** Whatever waits for the network gets its turn after so long a stretch of packing. */
const breatheEveryMs = 20;
const clockLookedAtEvery = 16;

/** The clock that stamps files ticks in steps, on some file systems of a second. */
const clockStepMs = 2_000;

class Packing {
  readonly tally = newTally();
  readonly #context: SourceContext;
  readonly #tar: TarWriter;
  readonly #packer: FilePacker;
  readonly #ahead: ReadAhead;
  /** Paths of the base that are gone. */
  readonly #deleted: Buffer[] = [];
  /** What has changed as late as this may have changed once more, unseen, while it was read. */
  readonly #unsureFromNs = BigInt(Date.now() - clockStepMs) * 1_000_000n;

  constructor(context: SourceContext) {
    this.#context = context;
    this.#tar = new TarWriter(context.threads.slabs);
    this.#ahead = new ReadAhead(context.threads, this.tally);
    this.#packer = new FilePacker(this.#tar, {
      own: identities(ownPathsOf(context)),
      checksums: context.index !== null,
      links: new HardLinks(context.base?.index.entries ?? null),
      tally: this.tally,
      report: this,
    });
  }

  async *frames(walked: Stretches): AsyncGenerator<Frame> {
    const { threads } = this.#context;
    yield* mapInOrder(this.#slabs(walked), threads.inFlight, ({ buffer, length }) =>
      threads.frame(buffer as ArrayBuffer, length),
    );
  }

  /** The archive in slabs, as they are filled. */
  async *#slabs(walked: Stretches): AsyncGenerator<Buffer> {
    const { signal } = this.#context;
    let count = 0;
    let breathed = performance.now();
    for await (const steps of walked) {
      for (const step of this.#ahead.through(steps)) {
        const rest = this.#step(step);
        // Loops, where `yield*` would wait for a promise of its own at every file, whether there is a slab or not.
        for (const slab of this.#tar.take()) yield slab;
        if (rest) for (const _ of rest) for (const slab of this.#tar.take()) yield slab;
        count += 1;
        if (count % clockLookedAtEvery !== 0 || performance.now() - breathed < breatheEveryMs) continue;
        await breathe();
        signal.throwIfAborted();
        this.#ahead.look();
        breathed = performance.now();
      }
    }
    yield* this.#end();
  }

  #step(step: Step): Generator<undefined> | null {
    switch (step.kind) {
      case "directory":
        this.#packer.header(step.path, "directory", step.stat, null);
        return null;
      case "file":
        return this.#packer.file(step.path);
      case "special":
        this.#special(step.path);
        return null;
      case "unchanged":
        this.#count({ ...step.entry, tarOffset: -1 });
        return null;
      case "unchangedSegment":
        this.#context.index?.addUnchanged(step.segment);
        this.tally.entries += step.segment.count;
        this.tally.currentPath = step.last;
        return null;
      case "deleted":
        this.#deleted.push(step.path);
        return null;
    }
  }

  #special(path: Buffer): void {
    try {
      const stat = lstatSync(path, { bigint: true });
      if (stat.isSymbolicLink()) {
        this.#packer.header(path, "symlink", stat, readlinkSync(path, { encoding: "buffer" }));
      } else if (stat.isFIFO()) this.#packer.header(path, "fifo", stat, null);
      else if (stat.isCharacterDevice()) this.#packer.header(path, "char", stat, null);
      else if (stat.isBlockDevice()) this.#packer.header(path, "block", stat, null);
      else {
        const what = stat.isSocket() ? "it is a socket" : "it was replaced while the backup ran";
        this.notes.add(path, `skipped: ${what}`);
      }
    } catch (error) {
      this.notes.add(path, vanishedOr(error));
    }
  }

  stored(entry: IndexEntry, sure: boolean): void {
    if (!sure || entry.ctimeNs >= this.#unsureFromNs) entry.ctimeNs = unsureCtime;
    this.#count(entry);
  }

  /** A full backup notes what it could not store, so that what is compared with it looks there again. */
  leftOut(path: Buffer): void {
    if (!this.#context.base) this.#context.index?.addDeleted(path);
  }

  warn(path: Buffer, reason: string): void {
    this.#context.warnings.add(path, reason);
  }

  /** What the walk has to say is about what it leaves out. */
  readonly notes: Warned = {
    add: (path, reason) => {
      this.#context.warnings.add(path, reason);
      this.leftOut(Buffer.from(path));
    },
  };

  #count(entry: IndexEntry): void {
    this.tally.entries += 1;
    this.tally.currentPath = entry.path;
    this.#context.index?.add(entry);
  }

  *#end(): Generator<Buffer> {
    const { base, index } = this.#context;
    for (const path of this.#deleted) index?.addDeleted(path);
    if (base) writeDeleted(this.#tar, this.#deleted);
    yield* this.#tar.finish();
  }
}

function writeDeleted(tar: TarWriter, paths: readonly Buffer[]): void {
  const size = paths.reduce((sum, path) => sum + memberName(path).length + 1, 0);
  const names = { userName: null, groupName: null, linkPath: null, devMajor: 0, devMinor: 0, sparse: null };
  const fields = { mode: 0o600, uid: 0, gid: 0, mtimeNs: 0n };
  tar.writeHeader({ path: deletedMember, type: "file", size, ...fields, ...names });
  for (const path of paths) {
    tar.write(memberName(path));
    tar.write(nul);
  }
  tar.pad(size);
}

const nul = Buffer.alloc(1);
