import { resolve } from "node:path";
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
  conflict: "fail" | "keep" | "overwrite";
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
    const { storage, key } = await openPlace(artifact, null);
    return runRestore({
      sourceType,
      compression,
      identities,
      storage,
      key,
      expected: { sha256, sizeBytes: null },
      destination: server ? null : resolve(options.to),
      ...toServer,
      selectedPaths: options.path?.map((path) => resolve(path)) ?? null,
      conflict: options.conflict,
      ...run,
    });
  });
  if (options.json) return printJson(result);
  printLine(
    `${counted(result.entries, "entry", "entries")}, ${formatBytes(result.bytes)} restored to ${server ? `${server.type} on ${server.host}` : resolve(options.to)}`,
  );
  if (result.warningCount === 0) return;
  printLine(`${counted(result.warningCount, "warning", "warnings")}:`);
  for (const line of shownWarnings(result.warnings, result.warningCount)) printLine(line);
}
