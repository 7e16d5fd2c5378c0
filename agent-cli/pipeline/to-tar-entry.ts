import type { IndexMember } from "./archive-index.ts";
import type { TarEntry } from "./tar-entry.ts";

const slash = Buffer.from("/");

/** What an index tells of a member, as if it was read from the archive; of a device, not which one it is. */
export const toTarEntry = (entry: IndexMember): TarEntry => ({
  path: entry.type === "directory" ? Buffer.concat([entry.path.subarray(1), slash]) : entry.path.subarray(1),
  type: entry.type,
  mode: entry.mode,
  uid: entry.uid,
  gid: entry.gid,
  userName: null,
  groupName: null,
  size: entry.size,
  mtimeNs: entry.mtimeNs,
  linkPath: linkPathOf(entry),
  devMajor: 0,
  devMinor: 0,
  sparse: entry.sparse ? { realSize: entry.size } : null,
});

/** An index names a hard link's target absolutely, an archive from its own root. */
function linkPathOf({ type, linkPath }: IndexMember): Buffer | null {
  return type === "link" && linkPath?.[0] === 47 ? linkPath.subarray(1) : linkPath;
}
