import type { MemberPath } from "./member-path.ts";

/** What a restore would do with some of the entries: how many, and the first of them by name. */
export type Fate = {
  entries: number;
  bytes: number;
  paths: { path: string; size: number; reason?: string }[];
};

/** What a restore would do. Directories that exist count as kept. With anything refused, it would write nothing. */
export type DryRunOutcome = { create: Fate; overwrite: Fate; keep: Fate; refuse: Fate };

/** The four of them must fit into one report. */
const namedPaths = 50;
const maxTextLength = 1000;

/** Collects what would become of each entry. */
export class Survey {
  readonly outcome: DryRunOutcome = { create: none(), overwrite: none(), keep: none(), refuse: none() };

  add(fate: keyof DryRunOutcome, path: string, size: number, reason?: string): void {
    const of = this.outcome[fate];
    of.entries += 1;
    of.bytes += size;
    if (of.paths.length >= namedPaths) return;
    const why = reason === undefined ? {} : { reason: reason.slice(0, maxTextLength) };
    of.paths.push({ path: path.slice(0, maxTextLength), size, ...why });
  }
}

const none = (): Fate => ({ entries: 0, bytes: 0, paths: [] });

/** Where a member would be put, for people. */
export const placeOf = (destination: string, path: MemberPath): string =>
  `${destination.replace(/\/$/, "")}/${path.map((name) => name.toString()).join("/")}`;
