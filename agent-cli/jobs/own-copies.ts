import { readdir, rm, rmdir } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import type { OwnCopy } from "../journal.ts";
import type { TaskSpec } from "./job.ts";

/** A record's own folder in a storage, as the master names it. */
const recordFolder = /^BackupX\/[a-z0-9_]+\/\d{6}\/records\/\d+\/$/;

/** Where a backup is about to write on this machine's own disks. */
export const ownCopiesOf = ({ targets, objectPrefix, fileNameStem }: TaskSpec): OwnCopy[] =>
  targets.flatMap(({ type, config }) => {
    const { path } = config;
    const known = type === "local_disk" && typeof path === "string" && isAbsolute(path);
    if (!known || !recordFolder.test(objectPrefix) || fileNameStem === "") return [];
    return [{ folder: join(path, objectPrefix), stem: fileNameStem }];
  });

/**
 * Removes what a backup that has no copy left on this machine's own disks. A job that can still run tidies up by
 * itself; this is for one that was killed, by the kernel for its memory or together with the whole machine.
 */
export async function removeOwnCopies(copies: OwnCopy[]): Promise<void> {
  for (const { folder, stem } of copies) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((found) => found.startsWith(`${stem}.`))) {
      await rm(join(folder, name), { force: true }).catch(() => {});
    }
    await rmdir(folder).catch(() => {});
  }
}
