import { readFileSync, statSync } from "node:fs";
import { parse, YAMLParseError } from "yaml";
import { ExitError } from "./exit-codes.ts";

/**
 * A file of `key: value` lines in YAML. Throws an ExitError that names `what` it is and the file, and never its content,
 * which may be a secret.
 */
export function readSettingsFile(file: string, what: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = parse(readFileSync(file, "utf8"), { maxAliasCount: 0 });
  } catch (error) {
    const reason = error instanceof YAMLParseError ? whereOnly(error) : (error as NodeJS.ErrnoException).code;
    throw new ExitError("usage", `${what}: cannot read ${file}: ${reason}`);
  }
  if (content === null || content === undefined) return {};
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new ExitError("usage", `${what}: ${file} must be a list of \`key: value\` lines`);
  }
  return content as Record<string, unknown>;
}

/** Refuses keys that are not among the known ones, with what was probably meant. */
export function requireKnownKeys(
  content: Record<string, unknown>,
  known: readonly string[],
  file: string,
  what: string,
): void {
  const key = Object.keys(content).find((name) => !known.includes(name));
  if (key === undefined) return;
  const nearest = known.toSorted((a, b) => editDistance(a, key) - editDistance(b, key))[0] ?? "";
  const hint = editDistance(nearest, key) <= Math.max(2, key.length / 2) ? `; did you mean ${nearest}?` : "";
  const shown = JSON.stringify(key.slice(0, 60));
  throw new ExitError(
    "usage",
    `${what}: ${file} has an unknown key ${shown}${hint} (known: ${known.join(", ")})`,
  );
}

/** Windows has no such modes. */
export const isReadableByOthers = (file: string): boolean =>
  (statSync(file).mode & 0o077) !== 0 && process.platform !== "win32";

/** The parser quotes the line that it did not like, and that line may hold a secret. */
const whereOnly = ({ linePos }: YAMLParseError): string =>
  linePos ? `not valid YAML near line ${linePos[0].line}` : "not valid YAML";

function editDistance(a: string, b: string): number {
  const left = a.toLowerCase().replace(/[_-]/g, "");
  const right = b.toLowerCase().replace(/[_-]/g, "").slice(0, 60);
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (const [i, x] of [...left].entries()) {
    const next = [i + 1];
    for (const [j, y] of [...right].entries()) {
      const swapped = (row[j] ?? 0) + (x === y ? 0 : 1);
      next.push(Math.min(swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
