import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { namesIn } from "../names-in.ts";
import { errorCode } from "../pipeline/error-code.ts";

const versionTimeoutMs = 10_000;

/** Where distributions put PostgreSQL's programs, on nobody's path: a folder for each version. */
const versionedFolders = [
  { parent: "/usr/lib/postgresql", pattern: /^(\d+)$/, below: "bin" },
  { parent: "/usr", pattern: /^pgsql-(\d+)$/, below: "bin" },
];

/** The full path of the first of these programs that is on this machine: on the path, or in one of `folders`. */
export function findProgram(names: readonly string[], folders: readonly string[] = []): string | null {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), ...folders].filter(
    (folder) => folder !== "",
  );
  const suffix = process.platform === "win32" ? ".exe" : "";
  for (const name of names) {
    const found = places.map((folder) => join(folder, name + suffix)).find(isExecutable);
    if (found) return found;
  }
  return null;
}

/** The newest version's folder comes first: it can read the servers of all versions before it. */
export const postgresqlFolders = (): string[] =>
  versionedFolders
    .flatMap(({ parent, pattern, below }) =>
      namesIn(parent).flatMap((name) => {
        const [, version] = pattern.exec(name) ?? [];
        return version ? [{ version: Number(version), folder: join(parent, name, below) }] : [];
      }),
    )
    .toSorted((a, b) => b.version - a.version)
    .map(({ folder }) => folder);

/** Where SAP puts the programs of its servers, on the path of nobody but the system's own user. */
export const saphanaFolders = (parent = "/usr/sap"): string[] =>
  matching(parent, /^[A-Z][A-Z0-9]{2}$/).flatMap((system) =>
    matching(system, /^HDB\d\d$/).map((instance) => join(instance, "exe")),
  );

const matching = (parent: string, pattern: RegExp): string[] =>
  namesIn(parent)
    .filter((name) => pattern.test(name))
    .map((name) => join(parent, name));

/** What the program says to `--version`, in one line; null when it cannot be run. */
export async function versionOf(program: string, flag = "--version"): Promise<string | null> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [flag], { timeout: versionTimeoutMs });
    return (stdout || stderr).split("\n")[0]?.trim().slice(0, 200) || null;
  } catch {
    return null;
  }
}

const isExecutable = (file: string): boolean => whyItCannotBeStarted(file) === null;

/** The code of the error by which a program of this path would not be started; null when it would be. */
export function whyItCannotBeStarted(program: string): string | null {
  try {
    accessSync(program, constants.X_OK);
    return statSync(program).isFile() ? null : "EACCES";
  } catch (error) {
    return errorCode(error);
  }
}
