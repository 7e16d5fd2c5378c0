import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { environmentOf } from "../environment.ts";
import type { ServerSpec } from "../pipeline/pipeline.ts";
import { findProgram, saphanaFolders, versionOf } from "./find-program.ts";
import { writePrivateFile } from "./private-file.ts";
import { type ProgramRun, textOf } from "./program.ts";
import type { Access, Tools } from "./source.ts";

export type SaphanaServer = Extract<ServerSpec, { type: "saphana" }>;

/** Runs SQL on the system database and gives the rows of one column. */
export type SaphanaQuery = (sql: string) => Promise<string[]>;

export async function saphanaTools(): Promise<Tools | null> {
  const program = findProgram(["hdbsql"]);
  const version = program === null ? null : await versionOf(program, "-v");
  return version === null ? null : { hdbsql: version.replace(/^HDBSQL version /, "") };
}

/**
 * hdbsql takes a password on its command line only, where everybody can read it. So the user of a task is the name of a
 * key in the hdbuserstore of whoever runs the agent.
 */
export function saphanaQuery(
  server: SaphanaServer,
  { secrets: { password }, workDir, signal }: Pick<Access, "secrets" | "workDir" | "signal">,
): SaphanaQuery {
  if (password !== null) {
    throw new Error(
      "hdbsql would show a password to everybody on this machine: store it with hdbuserstore, name its key as the user, and leave the password empty",
    );
  }
  if (server.user === "") throw new Error("the user must name a key of hdbuserstore on this machine");
  const program = findProgram(["hdbsql"]) ?? "hdbsql";
  const env = environmentOf(process.env);
  // Without titles, counts, pages and escapes; the key names the server and the user.
  const options = ["-U", server.user, "-d", "SYSTEMDB", "-a", "-x", "-j", "-C", ...tlsOptions(server)];
  return async (sql) => {
    const file = await writePrivateFile(workDir, "hana.sql", `${sql}\n`);
    try {
      const text = await textOf({ program, args: [...options, "-I", file], env, secrets: [], signal });
      return text
        .split("\n")
        .map((line) => line.trim().replace(/^"(.*)"$/, "$1"))
        .filter((line) => line !== "");
    } finally {
      await rm(file, { force: true });
    }
  };
}

function tlsOptions({ tls: { mode, caFile } }: SaphanaServer): string[] {
  if (mode === "disable" || mode === "prefer") return [];
  if (mode === "require") return ["-e", "-ssltrustcert"];
  return ["-e", ...(caFile === null ? [] : ["-ssltruststore", caFile])];
}

export const quoteHanaName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** SAP's own check of a backup's file, which comes with the server; null where that is not. */
export const backupCheckProgram = (): string | null => findProgram(["hdbbackupcheck"], saphanaFolders());

/** Looks into one file. It finds its libraries beside itself only if it is told so, and complains on its output. */
export const backupCheckRun = (program: string, file: string, signal: AbortSignal): ProgramRun => ({
  program,
  args: ["-v", file],
  env: { ...environmentOf(process.env), LD_LIBRARY_PATH: dirname(program) },
  secrets: [],
  complainsOnOutput: true,
  signal,
});
