import { resolve } from "node:path";
import type { DryRunOutcome } from "../pipeline/dry-run.ts";
import type { StoredArtifact } from "../pipeline/pipeline.ts";
import { runRestore } from "../pipeline/restore.ts";
import { identitiesFor, kindOf, sha256Of } from "./artifact-kind.ts";
import { databaseServer, restoreToServer } from "./database-server.ts";
import { runOnce, shownWarnings } from "./once.ts";
import { openPlace } from "./place.ts";
import { counted, formatBytes, printJson, printLine } from "./print.ts";

type Options = {
  to: string;
  path?: string[];
  database?: string[];
  roles?: boolean;
  owners: boolean;
  passwordFile?: string;
  tls?: string;
  tlsCa?: string;
  sha256?: string;
  identity?: string;
  base?: string;
  conflict: "fail" | "keep" | "overwrite";
  dryRun?: boolean;
  json?: boolean;
};

/** Restores one artifact without any master. */
export async function restoreOnce(artifact: string, options: Options): Promise<void> {
  const { compression, encrypted, ...kind } = kindOf(artifact);
  const server = databaseServer(options.to, options);
  const toServer = server && (await restoreToServer(server, kind.sourceType, options));
  const sourceType = toServer?.sourceType ?? kind.sourceType;
  const identities = encrypted ? await identitiesFor(options.identity) : null;
  const sha256 = sha256Of(options.sha256);
  const result = await runOnce(async (run) => {
    const { storage, key, nearby } = await openPlace(artifact, null);
    const base = options.base === undefined ? null : await openBase(options.base, options.identity);
    return runRestore({
      sourceType,
      compression,
      identities,
      storage,
      key,
      nearby,
      base,
      dryRun: options.dryRun ?? false,
      expected: { sha256, sizeBytes: null },
      destination: server ? null : resolve(options.to),
      ...toServer,
      selectedPaths: options.path?.map((path) => resolve(path)) ?? null,
      conflict: options.conflict,
      ...run,
    });
  });
  if (options.json) return printJson(result);
  if (result.outcome) return tell(result.outcome);
  printLine(
    `${counted(result.entries, "entry", "entries")}, ${formatBytes(result.bytes)} restored to ${server ? `${server.type} on ${server.host}` : resolve(options.to)}`,
  );
  if (result.warningCount === 0) return;
  printLine(`${counted(result.warningCount, "warning", "warnings")}:`);
  for (const line of shownWarnings(result.warnings, result.warningCount)) printLine(line);
}

/** The full backup below a differential one; both may be encrypted, to the same key. */
async function openBase(place: string, identity: string | undefined): Promise<StoredArtifact> {
  const identities = kindOf(place).encrypted ? await identitiesFor(identity) : null;
  const { storage, key, nearby } = await openPlace(place, null);
  return { storage, key, nearby, identities, expected: { sha256: null, sizeBytes: null } };
}

function tell(outcome: DryRunOutcome): void {
  for (const fate of ["create", "overwrite", "keep", "refuse"] as const) {
    const { entries, bytes, paths } = outcome[fate];
    if (entries === 0) continue;
    printLine(`would ${fate} ${counted(entries, "entry", "entries")}, ${formatBytes(bytes)}:`);
    for (const { path, reason } of paths)
      printLine(`  ${JSON.stringify(path)}${reason ? ` (${reason})` : ""}`);
    if (entries > paths.length) printLine(`  and ${entries - paths.length} more`);
  }
  const stopped = outcome.refuse.entries > 0;
  printLine(
    stopped ? "nothing was written, and the restore would not write anything" : "nothing was written",
  );
}
