/** One member of a tar archive, the same for the writer and the reader. Names are bytes: they need not be UTF-8. */
export type TarEntry = {
  path: Buffer;
  type: "file" | "link" | "symlink" | "directory" | "char" | "block" | "fifo";
  /** Permission bits, at most 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  userName: string | null;
  groupName: string | null;
  /** Bytes of content in the archive; for a sparse file its map and its data without the holes. */
  size: number;
  mtimeNs: bigint;
  /** Target of a link or symlink. */
  linkPath: Buffer | null;
  devMajor: number;
  devMinor: number;
  sparse: { realSize: number } | null;
};

/** The size the file has on disk. */
export const contentSize = (entry: TarEntry): number => entry.sparse?.realSize ?? entry.size;

/**
 * The last member of a differential backup, for who restores by tar alone: what is to be removed from the base before
 * the rest is unpacked over it, as names in the archive with a NUL after each.
 */
export const deletedMember = Buffer.from(".backupx-deleted");

/** The name in the archive: the absolute path without its first slash, as GNU tar has it. */
export const memberName = (path: Buffer): Buffer => (path.length > 1 ? path.subarray(1) : Buffer.from("."));
