import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";
import { runRestore } from "../pipeline/restore.ts";
import { runOnce, shownWarnings } from "./once.ts";
import { openPlace } from "./place.ts";
import { counted, formatBytes, printJson, printLine } from "./print.ts";

type Options = {
  to: string;
  path?: string[];
  sha256?: string;
  identity?: string;
  conflict: "fail" | "keep" | "overwrite";
  json?: boolean;
};

/** Restores one artifact without any master. */
export async function restoreOnce(artifact: string, options: Options): Promise<void> {
  const { sourceType, compression, encrypted } = kindOf(artifact);
  const identities = encrypted ? await identitiesFrom(options.identity) : null;
  const sha256 = options.sha256?.toLowerCase() ?? null;
  if (sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256))
    throw new ExitError("usage", "--sha256 must be 64 hex digits");
  const result = await runOnce(async (run) => {
    const { storage, key } = await openPlace(artifact, null);
    return runRestore({
      sourceType,
      compression,
      identities,
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

async function identitiesFrom(file: string | undefined): Promise<Identities> {
  if (file === undefined)
    throw new ExitError(
      "usage",
      "this artifact is encrypted: name the file with your private key by --identity",
    );
  const { readIdentities } = await import("../pipeline/identities.ts");
  try {
    return readIdentities(resolve(file));
  } catch (error) {
    throw new ExitError("usage", (error as Error).message);
  }
}

type Kind = { sourceType: SourceSpec["type"]; compression: Compression; encrypted: boolean };

/** An artifact's name says how it was made. */
function kindOf(artifact: string): Kind {
  const [, kind, packed, locked] = /\.(tar|sqlite)(\.zst|\.gz)?(\.age)?$/.exec(artifact) ?? [];
  if (kind === undefined) {
    throw new ExitError(
      "usage",
      `${artifact}: its name must end in .tar or .sqlite, with .zst, .gz or nothing after it, and .age where it is encrypted`,
    );
  }
  const compression = packed === ".zst" ? "zstd" : packed === ".gz" ? "gzip" : "none";
  return { sourceType: kind === "tar" ? "file" : "sqlite", compression, encrypted: locked !== undefined };
}
