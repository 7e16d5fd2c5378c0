import { resolve } from "node:path";
import { ExitError } from "../exit-codes.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";

export type Kind = { sourceType: SourceSpec["type"]; compression: Compression; encrypted: boolean };

/** What an artifact's name says of how it was made. Throws an ExitError for a name that says nothing. */
export function kindOf(artifact: string): Kind {
  const kind = kindByName(artifact);
  if (kind) return kind;
  if (/(^|\/)BackupX\/restic\/|\.restic$/.test(artifact)) {
    throw new ExitError(
      "usage",
      `${artifact} is of a repository of restic's, which restic opens by itself with the task's password: see \`Restore without us\` in the README`,
    );
  }
  throw new ExitError(
    "usage",
    `${artifact}: its name must end in .tar, .sqlite, .dump, .sql, .archive or .bin, with .zst, .gz or nothing after it, and .age where it is encrypted`,
  );
}

/** The same, null for a name that says nothing. */
export function kindByName(artifact: string): Kind | null {
  const [, kind, packed, locked] =
    /\.(tar|sqlite|dump|sql|archive|bin)(\.zst|\.gz)?(\.age)?$/.exec(artifact) ?? [];
  if (kind === undefined) return null;
  const compression = packed === ".zst" ? "zstd" : packed === ".gz" ? "gzip" : "none";
  const sourceType = sourceTypes[kind as keyof typeof sourceTypes];
  return { sourceType, compression, encrypted: locked !== undefined };
}

const sourceTypes = {
  tar: "file",
  sqlite: "sqlite",
  dump: "postgresql",
  sql: "mysql",
  archive: "mongodb",
  bin: "command",
} as const;

/** The private key for an encrypted artifact. */
export async function identitiesFor(file: string | undefined): Promise<Identities> {
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

export function sha256Of(text: string | undefined): string | null {
  const sha256 = text?.toLowerCase() ?? null;
  if (sha256 === null || /^[0-9a-f]{64}$/.test(sha256)) return sha256;
  throw new ExitError("usage", "--sha256 must be 64 hex digits");
}
