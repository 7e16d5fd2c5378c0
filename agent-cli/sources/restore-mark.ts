import { randomBytes } from "node:crypto";

/** Names one run of a restore in a server, so that what it was loading when it was killed is found and nothing else. */
export const newRestoreMark = (): string => randomBytes(6).toString("hex");

const beginning = "backupx-restore-unfinished-";

/**
 * What a database holds for as long as it is being loaded where it cannot be loaded under another name: a table or
 * collection that is called so. Whoever makes the database anew meanwhile has made one without it, which is theirs.
 */
export const unfinishedName = (mark: string): string => `${beginning}${mark}`;

export const isUnfinishedName = (name: string): boolean => name.startsWith(beginning);
