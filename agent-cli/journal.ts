import { randomUUID } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { hooks, id } from "../protocol/objects.ts";
import { makeFolders } from "./make-folders.ts";

const report = z.record(z.string(), z.unknown());

/** What still has to reach the master about a command, in this order. */
const delivery = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("record"), id, body: report }),
  z.object({ kind: z.literal("restore"), id, body: report }),
  z.object({ kind: z.literal("copy"), id, body: report }),
  z.object({ kind: z.literal("verification"), id, body: report }),
  z.object({
    kind: z.literal("result"),
    body: z.object({
      success: z.boolean(),
      errorMessage: z.string().optional(),
      result: z.unknown().optional(),
      cancelled: z.boolean().optional(),
    }),
  }),
]);
export type Delivery = z.output<typeof delivery>;

const subject = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("record"), id }),
  z.object({ kind: z.literal("restore"), id }),
  /** A copy has no id of its own: it is its command's. */
  z.object({ kind: z.literal("copy"), id }),
  z.object({ kind: z.literal("verification"), id }),
  z.object({ kind: z.literal("none") }),
]);
/** The row of the master whose log and state belong to a command. */
export type Subject = z.output<typeof subject>;

/** Where a backup writes on this machine's own disks: files of that beginning, in that folder, are this run's alone. */
const ownCopy = z.object({ folder: z.string(), stem: z.string().min(1) });
export type OwnCopy = z.output<typeof ownCopy>;

/** What the hooks after a run have to be told, should the agent be killed before it can run them. */
const hookNote = z.object({ hooks, taskId: id, taskName: z.string(), recordId: id });
export type HookNote = z.output<typeof hookNote>;

/** What a backup is called in storages that are none of this machine's disks, and how to ask the master for the way there. */
const uploadNote = z.object({ taskId: id, recordId: id, objectPrefix: z.string(), fileNameStem: z.string() });
export type UploadNote = z.output<typeof uploadNote>;

/** What a restore is called in a database server that it loads. */
const restoreNote = z.object({ id, mark: z.string() });
export type RestoreNote = z.output<typeof restoreNote>;

const state = z.discriminatedUnion("name", [
  z.object({ name: z.literal("claimed") }),
  z.object({
    name: z.literal("started"),
    workDir: z.string(),
    ownCopies: z.array(ownCopy).default([]),
    hooks: hookNote.nullable().default(null),
    upload: uploadNote.nullable().default(null),
    /** Whether it is a further copy that goes to a storage which is none of this machine's disks. */
    isFarCopy: z.boolean().default(false),
    restore: restoreNote.nullable().default(null),
  }),
  z.object({ name: z.literal("finished"), deliveries: z.array(delivery) }),
]);

const entry = z.object({
  version: z.literal(1),
  id,
  type: z.string(),
  subject,
  attempt: z.int().nullable(),
  leaseToken: z.string().nullable(),
  bootId: z.string(),
  claimedAt: z.int(),
  state,
});
export type JournalEntry = z.output<typeof entry>;

/**
 * What this node has in hand, as one small file per command. A file is replaced whole (written aside, fsynced, renamed,
 * directory fsynced), so a crash leaves the state before or after and there is nothing to compact or to repair. An
 * agent holds a handful of commands at a time, which is why a log of changes would buy nothing. Payloads are not kept:
 * they may hold a storage's secrets, and the master sends them again.
 */
export type Journal = {
  save(entry: JournalEntry): void;
  remove(commandId: number): void;
  load(): { entries: JournalEntry[]; broken: string[] };
};

export function openJournal(stateDir: string): Journal {
  const folder = join(stateDir, "commands");
  makeFolders(folder, 0o700);
  const fileOf = (commandId: number) => join(folder, `${commandId}.json`);
  return {
    save(saved) {
      replaceDurably(fileOf(saved.id), JSON.stringify(saved));
      syncFolder(folder);
    },
    remove(commandId) {
      rmSync(fileOf(commandId), { force: true });
      syncFolder(folder);
    },
    load: () => loadAll(folder),
  };
}

function replaceDurably(file: string, text: string): void {
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = openSync(draft, "wx", 0o600);
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

function syncFolder(folder: string): void {
  if (process.platform === "win32") return; // A directory cannot be opened there.
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function loadAll(folder: string): { entries: JournalEntry[]; broken: string[] } {
  const entries: JournalEntry[] = [];
  const broken: string[] = [];
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (name.endsWith(".tmp")) rmSync(file, { force: true });
    if (!/^\d+\.json$/.test(name)) continue;
    const parsed = readEntry(file);
    if (parsed !== null) entries.push(parsed);
    else {
      renameSync(file, `${file}.broken`);
      broken.push(name);
    }
  }
  return { entries: entries.toSorted((a, b) => a.id - b.id), broken };
}

function readEntry(file: string): JournalEntry | null {
  try {
    return entry.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return null;
  }
}

/** The entries as they are now, for a look from outside; changes nothing. */
export function peekJournal(stateDir: string): JournalEntry[] {
  try {
    const folder = join(stateDir, "commands");
    const names = readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
    return names.flatMap((name) => readEntry(join(folder, name)) ?? []).toSorted((a, b) => a.id - b.id);
  } catch {
    return [];
  }
}
