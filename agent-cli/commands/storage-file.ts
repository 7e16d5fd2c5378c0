import { readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { z } from "zod";
import { targetSettings } from "../../protocol/objects.ts";
import { type TargetType, targetType } from "../../protocol/states.ts";
import { ExitError } from "../exit-codes.ts";
import { errorCode } from "../pipeline/error-code.ts";
import { isReadableByOthers, readSettingsFile, requireKnownKeys } from "../settings-file.ts";

export type StorageSettings = {
  targetType: Exclude<TargetType, "vault">;
  targetConfig: Record<string, unknown>;
};

/** Without its master nobody can read the vault as such; its bucket, those can whom Cloudflare gives a key to it. */
const vaultNeedsMaster =
  "a vault is only reached through its master. Without one, `wrangler r2 object get` fetches an artifact as a file, " +
  "or an R2 API token opens its bucket with the type s3; see `Restore without us` in the README";

/**
 * Reads a file with the settings of one storage: its `type`, and the keys that a master's target of that type has in
 * `config` and `secrets`. A secret may be in a file of its own, which `<key>File` names. Throws an ExitError that names
 * file and key, and never a value.
 */
export function readStorageFile(file: string): StorageSettings {
  requirePrivate(file, "storage");
  const { type, ...content } = readSettingsFile(file, "storage");
  const kind = typeOf(type, file);
  const { config, secrets } = targetSettings[kind];
  const secretFiles = Object.entries(secrets.shape)
    .filter(([, schema]) => !(schema instanceof z.ZodOptional && schema.unwrap() instanceof z.ZodRecord))
    .map(([key]) => key);
  const shape = { ...config.shape, ...secrets.shape };
  const known = ["type", ...Object.keys(shape), ...secretFiles.map((key) => `${key}File`)];
  requireKnownKeys(content, known, file, "storage");
  for (const key of secretFiles) takeFromFile(content, key, file);
  const parsed = z.strictObject(shape).safeParse(content);
  if (parsed.success) return { targetType: kind, targetConfig: parsed.data };
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.map(String).join(".")} ${faultOf(issue)}`,
  );
  throw new ExitError("usage", `storage: ${file}: ${problems.join("; ").slice(0, 1000)}`);
}

function typeOf(type: unknown, file: string): StorageSettings["targetType"] {
  const known = targetType.options.filter((kind) => kind !== "vault");
  if (type === "vault") throw new ExitError("usage", `storage: ${file}: type vault: ${vaultNeedsMaster}`);
  const found = known.find((kind) => kind === type);
  if (found) return found;
  const shown = type === undefined ? "is missing" : `${JSON.stringify(type)?.slice(0, 60)} is none`;
  throw new ExitError("usage", `storage: ${file}: type ${shown}: it must be one of ${known.join(", ")}`);
}

/** Puts a secret that is in a file of its own where it would otherwise be, without its line's end. */
function takeFromFile(content: Record<string, unknown>, key: string, file: string): void {
  const name = `${key}File`;
  const path = content[name];
  if (path === undefined) return;
  delete content[name];
  if (content[key] !== undefined)
    throw new ExitError("usage", `storage: ${file}: ${key} and ${name} are both set: keep one`);
  if (typeof path !== "string" || !isAbsolute(path))
    throw new ExitError("usage", `storage: ${file}: ${name} must be an absolute path`);
  requirePrivate(path, name);
  try {
    content[key] = readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw cannotRead(path, name, error);
  }
}

/** As ssh does with its keys: what others can read is no secret any more, so nothing is done with it. */
function requirePrivate(file: string, what: string): void {
  let isOpen: boolean;
  try {
    isOpen = isReadableByOthers(file);
  } catch (error) {
    throw cannotRead(file, what, error);
  }
  if (isOpen)
    throw new ExitError(
      "usage",
      `${what}: ${file} can be read by others, and is for secrets: chmod 600 ${file}`,
    );
}

const cannotRead = (file: string, what: string, error: unknown) =>
  new ExitError("usage", `${what}: cannot read ${file}: ${errorCode(error)}`);

/** What is wrong with a value, which is not repeated. */
function faultOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_format" && issue.format === "url")
    return "must be an http:// or https:// address";
  if (issue.code !== "invalid_type") return issue.message;
  if (/received (undefined|null)$/.test(issue.message)) return "is missing";
  return kindsOfValues[issue.expected] ?? issue.message;
}

const kindsOfValues: Partial<Record<string, string>> = {
  string: "must be text: put it in quotes",
  number: "must be a number",
  int: "must be a whole number",
  boolean: "must be true or false",
  record: "must be names with their values",
};
