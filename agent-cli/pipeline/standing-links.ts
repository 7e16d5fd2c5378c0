import { type BigIntStats, lstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";

/** Links of this machine that a restore in place goes through: by the name they have in archives, where each leads. */
export type StandingLinks = Map<string, string>;

/** As many as the system itself follows. */
const maxLinks = 40;

/**
 * The directory that a path leads to, as bytes in latin1; null unless root or this user alone could have made it lead
 * there, and could change that: each directory on the way takes new names from nobody else, and each link is theirs.
 */
export function trustedDirectory(path: string): string | null {
  const waiting = namesOf(path);
  let directory = "/";
  let links = 0;
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const place = posix.join(directory, name);
    const stat = isKeptByUs(statOf(directory)) ? statOf(place) : null;
    if (stat?.isDirectory()) directory = place;
    else if (stat?.isSymbolicLink() && isOurs(stat) && ++links <= maxLinks) {
      const target = readlinkSync(bytesOf(place), "latin1");
      if (target.startsWith("/")) directory = "/";
      waiting.unshift(...namesOf(target));
    } else return null;
  }
  return directory;
}

export const bytesOf = (path: string): Buffer => Buffer.from(path, "latin1");

const namesOf = (path: string): string[] => path.split("/").filter((name) => name !== "" && name !== ".");

const statOf = (path: string): BigIntStats | null =>
  lstatSync(bytesOf(path), { bigint: true, throwIfNoEntry: false }) ?? null;

const isOurs = ({ uid }: BigIntStats): boolean => uid === 0n || uid === BigInt(process.geteuid?.() ?? 0);

/** In a directory with the sticky bit others make names, but do not take away or replace ours. */
const isKeptByUs = (stat: BigIntStats | null): boolean =>
  stat !== null && isOurs(stat) && ((stat.mode & 0o022n) === 0n || (stat.mode & 0o1000n) !== 0n);
