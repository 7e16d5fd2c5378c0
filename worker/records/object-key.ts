import { DomainError } from "../errors.ts";

const slugOf = (name: string) =>
  name
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40) || "task";

/** Days are UTC days of the master, written YYMMDD. */
const dayOf = (time: number) => new Date(time).toISOString().slice(2, 10).replaceAll("-", "");

/** The folder that belongs to one record alone: no two records ever share an object, whatever their names and times. */
export const objectPrefix = (sourceType: string, createdAt: number, recordId: number): string =>
  `BackupX/${sourceType}/${dayOf(createdAt)}/records/${recordId}/`;

/** The artifact's name without its extensions: readable, and with both ids. */
export const fileNameStem = (taskName: string, taskId: number, recordId: number): string =>
  `${slugOf(taskName)}-t${taskId}-r${recordId}`;

/** Whether an agent of ours packed this record: only its file names end in both ids. */
export const isPackedByOurs = (record: { id: number; taskId: number; fileName: string }): boolean =>
  record.fileName.includes(`-t${record.taskId}-r${record.id}.`);

/** The repository of a task with restic, in each of its targets. */
export const resticRepositoryKey = (taskId: number): string => `BackupX/restic/task-${taskId}`;

/** The task whose snapshot such a key is, for a snapshot is a file of its repository; null for any other object. */
export function taskOfSnapshot(key: string): number | null {
  const [, taskId] = /^BackupX\/restic\/task-(\d{1,15})\/snapshots\/[0-9a-f]{64}$/.exec(key) ?? [];
  return taskId === undefined ? null : Number(taskId);
}

/**
 * Refuses a key outside the record's own namespace. First-generation Go agents have no folder of their own per
 * record; theirs is accepted directly below the day. Days are not compared: they are the agent's clock.
 */
export function requireOwnKey(
  key: string,
  record: { id: number; taskId: number; engine: string; sourceType: string },
): void {
  if (record.engine === "restic") return requireOwnSnapshot(key, record.taskId);
  const [root, type, day, ...rest] = key.split("/");
  const plain =
    key.split("/").every((part) => part !== "" && part !== "." && part !== "..") && !/[\0\\]/.test(key);
  const ownFolder = rest.length === 3 && rest[0] === "records" && rest[1] === String(record.id);
  const firstGeneration = rest.length === 1;
  const inside = root === "BackupX" && type === record.sourceType && /^\d{6}$/.test(day ?? "");
  if (plain && inside && (ownFolder || firstGeneration)) return;
  throw new DomainError(
    "AGENT_ARTIFACT_INVALID_PATH",
    `storagePath: must be inside BackupX/${record.sourceType}/<YYMMDD>/records/${record.id}/`,
  );
}

function requireOwnSnapshot(key: string, taskId: number): void {
  if (taskOfSnapshot(key) === taskId) return;
  throw new DomainError(
    "AGENT_ARTIFACT_INVALID_PATH",
    `storagePath: must be a snapshot in ${resticRepositoryKey(taskId)}/snapshots/`,
  );
}
