import { ExitError } from "../exit-codes.ts";
import type { IndexBase } from "../pipeline/archive-index.ts";
import type { Identities } from "../pipeline/identities.ts";
import type { FindBase, StoredArtifact } from "../pipeline/pipeline.ts";
import { identitiesFor, kindOf } from "./artifact-kind.ts";
import { openBeside, type Place, requireThere, type Where } from "./place.ts";

/** A differential backup is at most so many days younger than its full one: no task may have more. */
const maxAgeDays = 365;
const dayMs = 86_400_000;

/** The full backup below a differential one: the one that is named, or else found by the names that masters give. */
export async function baseOf(
  named: string | undefined,
  differential: Place,
  where: Where,
  { identity, identities, signal }: { identity?: string; identities: Identities | null; signal: AbortSignal },
): Promise<StoredArtifact | FindBase> {
  const described = ({ storage, key, nearby }: Place, keys: Identities | null): StoredArtifact => ({
    storage,
    key,
    nearby,
    identities: keys,
    expected: { sha256: null, sizeBytes: null },
  });
  if (named !== undefined) {
    // Both may be encrypted, to the same key.
    const keys = kindOf(named).encrypted ? await identitiesFor(identity) : null;
    const place = await openBeside(differential, named, where);
    await requireThere(place, where, signal);
    return described(place, keys);
  }
  return async (needed) => {
    const key = await findKey(differential, needed, signal);
    return key === null
      ? null
      : described({ ...differential, key }, kindOf(key).encrypted ? identities : null);
  };
}

/** The same for who can do nothing without it. */
export const orSayWhich = (base: StoredArtifact | FindBase, { shown }: Place): StoredArtifact | FindBase =>
  typeof base === "function"
    ? async (needed) => {
        const found = await base(needed);
        if (found) return found;
        throw new ExitError(
          "failed",
          `${shown} is a differential backup, and the full one below it was not found: it is that of record ` +
            `${needed.recordId}, its SHA-256 ${needed.sha256}; name it by --base`,
        );
      }
    : base;

/** By its name: in the tree of a master's objects, or in the folder that both were fetched to. */
async function findKey(
  { storage, key }: Place,
  needed: IndexBase,
  signal: AbortSignal,
): Promise<string | null> {
  const [, folder = "", stem = "", taskId] = /^(.*\/)?([^/]+-t(\d+))-r\d+\.[^/]+$/s.exec(key) ?? [];
  if (taskId === undefined) return null;
  for (const end of [".tar.zst", ".tar.zst.age"]) {
    const beside = `${folder}${stem}-r${needed.recordId}${end}`;
    if (await storage.stat(beside, { signal })) return beside;
  }
  const [, top, day = ""] = /^((?:.*\/)?BackupX\/file\/)(\d{6})\/records\/\d+\/$/s.exec(folder) ?? [];
  if (top === undefined) return null;
  // The task may have had another name then; its number and the record's stay.
  const name = new RegExp(`-t${taskId}-r${needed.recordId}\\.tar\\.zst(\\.age)?$`);
  for (const earlier of daysBack(day)) {
    // A day's folder is looked into alone: where each record has a folder, listing them all takes a call for each.
    for await (const listed of storage.list(`${top}${earlier}/records/${needed.recordId}/`, { signal }))
      if (name.test(listed.key)) return listed.key;
  }
  return null;
}

/** That day, as keys write it (YYMMDD), and the ones before it. */
function* daysBack(day: string): Generator<string> {
  const [year, month, date] = [0, 2, 4].map((at) => Number(day.slice(at, at + 2)));
  const last = Date.UTC(2000 + (year ?? 0), (month ?? 1) - 1, date);
  for (let days = 0; days <= maxAgeDays; days += 1)
    yield new Date(last - days * dayMs).toISOString().slice(2, 10).replaceAll("-", "");
}
