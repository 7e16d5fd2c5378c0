import { type FoundDatabase, newPreview, type Preview } from "./source.ts";

type Choice = { databases: string[]; excludeDatabases: string[] };

const shownAtMost = 100;

/** The databases that a source asks for, of those that its server has. Throws when one is not there, or none is left. */
export function choose(
  { databases, excludeDatabases }: Choice,
  found: readonly { name: string }[],
): string[] {
  const names = found.map(({ name }) => name);
  const missing = databases.filter((name) => !names.includes(name));
  if (missing.length > 0)
    throw new Error(`the server has no database ${missing.map((name) => `"${name}"`).join(", ")}`);
  const asked = databases.length === 0 ? names : [...new Set(databases)];
  const chosen = asked.filter((name) => !excludeDatabases.includes(name));
  if (chosen.length === 0) throw new Error("there is no database to back up on this server");
  return chosen;
}

/** What a backup of the chosen databases would read. */
export function previewOf(
  chosen: readonly string[],
  found: readonly FoundDatabase[],
  { databases }: Choice,
): Preview {
  const sizes = new Map(found.map(({ name, sizeBytes }) => [name, sizeBytes]));
  const first = chosen.map((name) => ({ path: name, sizeBytes: sizes.get(name) ?? null }));
  const left = found.filter(({ name }) => databases.length === 0 && !chosen.includes(name));
  return {
    ...newPreview(),
    complete: true,
    entries: chosen.length,
    bytes: first.some(({ sizeBytes }) => sizeBytes === null)
      ? null
      : first.reduce((sum, { sizeBytes }) => sum + Number(sizeBytes), 0),
    first: first.slice(0, shownAtMost),
    excluded: { count: left.length, first: left.slice(0, shownAtMost).map(({ name }) => name) },
  };
}
