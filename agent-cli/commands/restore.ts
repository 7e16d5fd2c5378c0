import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";
import { runRestore } from "../pipeline/restore.ts";
import { runOnce, shownWarnings } from "./once.ts";
import { openPlace } from "./place.ts";
import { counted, formatBytes, printJson, printLine } from "./print.ts";

type Options = {
  to: string;
  path?: string[];
  sha256?: string;
  conflict: "fail" | "keep" | "overwrite";
  json?: boolean;
};

/** Restores one artifact without any master. */
export async function restoreOnce(artifact: string, options: Options): Promise<void> {
  const { sourceType, compression } = kindOf(artifact);
  const sha256 = options.sha256?.toLowerCase() ?? null;
  if (sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256))
    throw new ExitError("usage", "--sha256 must be 64 hex digits");
  const result = await runOnce(async (run) => {
    const { storage, key } = await openPlace(artifact, null);
    return runRestore({
      sourceType,
      compression,
      storage,
      key,
      expected: { sha256, sizeBytes: null },
      destination: resolve(options.to),
      selectedPaths: options.path?.map((path) => resolve(path)) ?? null,
      conflict: options.conflict,
      ...run,
    });
  });
  if (options.json) return printJson(result);
  printLine(
    `${counted(result.entries, "entry", "entries")}, ${formatBytes(result.bytes)} restored to ${resolve(options.to)}`,
  );
  if (result.warningCount === 0) return;
  printLine(`${counted(result.warningCount, "warning", "warnings")}:`);
  for (const line of shownWarnings(result.warnings, result.warningCount)) printLine(line);
}

/** An artifact's name says how it was made. */
function kindOf(artifact: string): { sourceType: SourceSpec["type"]; compression: Compression } {
  const [, kind, packed] = /\.(tar|sqlite)(\.zst|\.gz)?$/.exec(artifact) ?? [];
  if (kind === undefined) {
    throw new ExitError(
      "usage",
      `${artifact}: its name must end in .tar or .sqlite, with .zst, .gz or nothing after it`,
    );
  }
  const compression = packed === ".zst" ? "zstd" : packed === ".gz" ? "gzip" : "none";
  return { sourceType: kind === "tar" ? "file" : "sqlite", compression };
}
