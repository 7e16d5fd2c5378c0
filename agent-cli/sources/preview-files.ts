import { accessSync, type BigIntStats, constants, lstatSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import type { SourceSpec } from "../pipeline/pipeline.ts";
import { WarningList } from "../pipeline/warnings.ts";
import { compileExcludes, type Excludes } from "./excludes.ts";
import { newPreview, type Preview } from "./source.ts";
import { type Found, identities, identity, vanishedOr, walk } from "./walk.ts";

const shownPaths = 100;
const entriesPerTurn = 256;

/** Walks as a backup would, and opens nothing. Ends early when the signal aborts. */
export async function previewFiles(
  spec: Extract<SourceSpec, { type: "file" }>,
  { ownPaths, signal }: { ownPaths: readonly string[]; signal: AbortSignal },
): Promise<Preview> {
  const preview = newPreview();
  const warnings = new WarningList();
  const found = walk(spec.paths, {
    excludes: counting(compileExcludes(spec.excludes), preview.excluded),
    oneFileSystem: spec.oneFileSystem,
    ownPaths,
    warnings,
  });
  const own = identities(ownPaths);
  const linked = new Set<string>();
  for (const item of found) {
    if (preview.entries % entriesPerTurn === 0) await breathe();
    if (signal.aborted) return { ...preview, unreadable: unreadableOf(warnings) };
    const stat = statOf(item, warnings);
    if (stat === null || own.has(identity(stat))) continue;
    const sizeBytes = stat.isFile() && isFirstLink(stat, linked) ? Number(stat.size) : 0;
    preview.entries += 1;
    preview.bytes = (preview.bytes ?? 0) + sizeBytes;
    if (preview.first.length < shownPaths) preview.first.push({ path: item.path.toString(), sizeBytes });
  }
  return { ...preview, complete: true, unreadable: unreadableOf(warnings) };
}

/** Notes what the excludes leave out while a walk asks them. */
function counting(excludes: Excludes | null, excluded: Preview["excluded"]): Excludes | null {
  if (excludes === null) return null;
  return (path, isDirectory) => {
    if (!excludes(path, isDirectory)) return false;
    excluded.count += 1;
    if (excluded.first.length < shownPaths) excluded.first.push(isDirectory ? `${path}/` : path);
    return true;
  };
}

/** Null, and a warning, for what a backup could not read. */
function statOf({ path, kind }: Found, warnings: WarningList): BigIntStats | null {
  try {
    if (kind === "file") accessSync(path, constants.R_OK);
    return lstatSync(path, { bigint: true });
  } catch (error) {
    warnings.add(path, vanishedOr(error));
    return null;
  }
}

/** Of a file with several names, the content is stored once. */
function isFirstLink(stat: BigIntStats, linked: Set<string>): boolean {
  if (stat.nlink < 2n) return true;
  const key = identity(stat);
  if (linked.has(key)) return false;
  linked.add(key);
  return true;
}

const unreadableOf = ({ count, kept }: WarningList): Preview["unreadable"] => ({
  count,
  first: kept.slice(0, shownPaths),
});
