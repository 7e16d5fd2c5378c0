import type { RestoreJob, RestoreOptions } from "../pipeline/pipeline.ts";

/** A database of a backup, and what becomes of it. */
export type PlannedDatabase = { from: string; to: string; exists: boolean };

/** The databases that a server has, and which of them a restore has not finished. */
export type FoundThere = { existing: readonly string[]; unfinished: readonly string[] };

/** Whether a restore asks for the database that had this name. */
export const isAskedFor = ({ databases }: RestoreOptions, name: string): boolean =>
  databases === null || databases.includes(name);

/**
 * What to restore under which name. Throws before anything is written: when a name is not in the backup, when two would
 * get the same one, or when one exists and must not be replaced. With `keep`, those that exist are left out, unless they
 * are not whole.
 */
export function planDatabases(
  held: readonly string[],
  { databases, renameDatabases }: RestoreOptions,
  conflict: RestoreJob["conflict"],
  { existing, unfinished }: FoundThere,
): PlannedDatabase[] {
  const named = [...(databases ?? []), ...Object.keys(renameDatabases)];
  const missing = named.filter((name) => !held.includes(name));
  if (missing.length > 0) throw new Error(`not in this backup: ${list(missing)}`);
  const wanted = held.filter((name) => databases === null || databases.includes(name));
  const planned = wanted.map((from) => {
    const to = Object.hasOwn(renameDatabases, from) ? String(renameDatabases[from]) : from;
    return { from, to, exists: existing.includes(to) };
  });
  const twice = planned.filter(({ to }, index) => planned.findIndex((other) => other.to === to) < index);
  if (twice.length > 0)
    throw new Error(`two databases would get the name ${list(twice.map(({ to }) => to))}`);
  const halves = planned.filter(({ to }) => unfinished.includes(to));
  if (halves.length > 0 && conflict !== "overwrite") {
    throw new Error(
      `half restored, by a restore that still runs or was killed: ${list(halves.map(({ to }) => to))}; if none runs, choose to overwrite`,
    );
  }
  const inTheWay = planned.filter(({ exists }) => exists);
  if (inTheWay.length > 0 && conflict === "fail") {
    throw new Error(`would replace databases that exist: ${list(inTheWay.map(({ to }) => to))}`);
  }
  return conflict === "keep" ? planned.filter(({ exists }) => !exists) : planned;
}

const list = (names: readonly string[]): string => [...new Set(names)].map((name) => `"${name}"`).join(", ");
