import { sourceType as sourceTypes } from "../../protocol/states.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";
import type { CallOptions, ListedObject, Storage } from "../storage/storage.ts";
import { type Kind, kindByName } from "./artifact-kind.ts";

/** An artifact as far as its key and the list tell of it. */
export type StoredObject = Omit<ListedObject, "modifiedAt"> & {
  /** When it was put there, in ISO 8601; null where the storage does not tell. */
  storedAt: string | null;
  /** Null: it lies where a master puts artifacts, and nothing else is known of it. */
  type: SourceSpec["type"] | null;
  compression: Compression | null;
  encrypted: boolean | null;
  task: { id: number; name: string } | null;
  recordId: number | null;
  /** When its backup began: a day (`2026-04-01`) where a master has noted that alone, or a time in ISO 8601. */
  time: string | null;
};

export type ResticRepository = { key: string; taskId: number | null; snapshots: number; sizeBytes: number };

export type Stored = {
  /** By their time, the newest first. */
  objects: StoredObject[];
  repositories: ResticRepository[];
  /** What no backup of ours has made. */
  others: { count: number; sizeBytes: number };
};

/** Tells what is in a storage by its keys and sizes alone: nothing is opened. */
export async function listStored(storage: Storage, options: CallOptions): Promise<Stored> {
  const objects: StoredObject[] = [];
  const repositories = new Map<string, ResticRepository>();
  const others = { count: 0, sizeBytes: 0 };
  for await (const listed of storage.list("", options)) {
    const repository = repositoryOf(listed.key);
    const object = repository === null ? readKey(listed) : null;
    if (repository !== null) addTo(repositories, repository, listed);
    else if (object) objects.push(object);
    else {
      others.count += 1;
      others.sizeBytes += listed.sizeBytes;
    }
  }
  return { objects: objects.sort(newestFirst), repositories: [...repositories.values()], others };
}

const inRepository = /^((?:.*\/)?BackupX\/restic\/task-(\d{1,15}))\/(.*)$/s;

/** The repository of restic's that such a key is in; null for any other. */
const repositoryOf = (key: string): string | null => inRepository.exec(key)?.[1] ?? null;

function addTo(repositories: Map<string, ResticRepository>, key: string, listed: ListedObject): void {
  const [, , taskId = "", file = ""] = inRepository.exec(listed.key) ?? [];
  const known = repositories.get(key) ?? { key, taskId: Number(taskId), snapshots: 0, sizeBytes: 0 };
  known.sizeBytes += listed.sizeBytes;
  if (/^snapshots\/[0-9a-f]{64}$/.test(file)) known.snapshots += 1;
  repositories.set(key, known);
}

/** What a master has put there, or this agent without one; null for what neither can have made. */
function readKey(listed: ListedObject): StoredObject | null {
  const [, type = "", day = "", record] =
    /(?:^|\/)BackupX\/([a-z0-9_]+)\/(\d{6})\/(?:records\/(\d{1,15})\/)?[^/]+$/.exec(listed.key) ?? [];
  const name = listed.key.slice(listed.key.lastIndexOf("/") + 1);
  const kind = kindByName(name);
  if (kind === null && day === "") return null;
  const [, task, taskId, ownRecord] = /^(.+)-t(\d{1,15})-r(\d{1,15})\./.exec(name) ?? [];
  const recordId = record ?? ownRecord;
  const { key, sizeBytes, modifiedAt } = listed;
  return {
    key,
    sizeBytes,
    storedAt: modifiedAt === null ? null : new Date(modifiedAt).toISOString(),
    type: sourceTypes.safeParse(type).data ?? kind?.sourceType ?? null,
    ...packingOf(kind),
    task: task === undefined ? null : { id: Number(taskId), name: task },
    recordId: recordId === undefined ? null : Number(recordId),
    time: day === "" ? timeIn(name) : `20${day.slice(0, 2)}-${day.slice(2, 4)}-${day.slice(4)}`,
  };
}

const packingOf = (kind: Kind | null): Pick<StoredObject, "compression" | "encrypted"> =>
  kind
    ? { compression: kind.compression, encrypted: kind.encrypted }
    : { compression: null, encrypted: null };

/** `backup` without a master ends its names with the time. */
function timeIn(name: string): string | null {
  const found = /-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\./.exec(name);
  if (!found) return null;
  const [, year, month, date, hours, minutes, seconds] = found;
  return `${year}-${month}-${date}T${hours}:${minutes}:${seconds}Z`;
}

/** Records of one day are in the order of their numbers. */
function newestFirst(a: StoredObject, b: StoredObject): number {
  const [dayA, dayB] = [a.time?.slice(0, 10) ?? "", b.time?.slice(0, 10) ?? ""];
  if (dayA !== dayB) return dayA < dayB ? 1 : -1;
  const order = (b.recordId ?? 0) - (a.recordId ?? 0) || compare(b.time ?? "", a.time ?? "");
  return order || compare(a.key, b.key);
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
