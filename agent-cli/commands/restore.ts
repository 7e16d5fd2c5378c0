import { resolve } from "node:path";
import type { DryRunOutcome } from "../pipeline/dry-run.ts";
import { runRestore } from "../pipeline/restore.ts";
import { identitiesFor, kindOf, sha256Of } from "./artifact-kind.ts";
import { baseOf, orSayWhich } from "./base-in-storage.ts";
import { databaseServer, restoreToServer } from "./database-server.ts";
import { runOnce, shownWarnings } from "./once.ts";
import { openPlace, requireThere, type Where } from "./place.ts";
import { counted, formatBytes, printJson, printLine } from "./print.ts";

type Options = Where & {
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
    const { signal } = run;
    const place = await openPlace(artifact, options);
    await requireThere(place, options, signal);
    const { storage, key, nearby } = place;
    const base = await baseOf(options.base, place, options, { ...options, identities, signal });
    return runRestore({
      sourceType,
      compression,
      identities,
      storage,
      key,
      nearby,
      base: orSayWhich(base, place),
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
