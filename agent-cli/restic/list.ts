import { collectPage, type Listing, type Named, type WantedPage } from "../pipeline/list-archive.ts";
import { type Message, type Repository, runRestic } from "./program.ts";
import type { ResticJob } from "./repository.ts";
import { type OpenedRepository, whenUnlocked } from "./repository.ts";

/** One entry of a snapshot. Where a name is not valid Unicode, restic puts U+FFFD for what it cannot tell. */
export type SnapshotEntry = {
  path: string;
  type: "file" | "dir" | "symlink" | "fifo" | "dev" | "chardev" | "socket" | "irregular";
  sizeBytes: number;
  /** Permissions, with the bits for set-user-id, set-group-id and sticky. */
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
};

/** Every entry of a snapshot, in restic's order: a directory before what is in it. Hands over one at a time. */
export async function listSnapshot(
  { repository }: OpenedRepository,
  snapshotId: string,
  job: Pick<ResticJob, "signal" | "report" | "alive">,
  onEntry: (entry: SnapshotEntry) => void,
): Promise<void> {
  await whenUnlocked(repository, job, () => list(repository, [snapshotId], job.signal, onEntry));
}

/** A page of a snapshot's contents: of one directory, which is all that is fetched then, or of a search. */
export async function listResticSnapshot(
  { repository }: OpenedRepository,
  snapshotId: string,
  wanted: WantedPage,
  job: Pick<ResticJob, "signal" | "report" | "alive">,
): Promise<Listing> {
  const collect = collectPage(wanted);
  const directory = wanted.name === null ? [wanted.path.replace(/(?<=.)\/+$/, "")] : [];
  await whenUnlocked(repository, job, () =>
    list(repository, [snapshotId, ...directory], job.signal, (entry) => {
      const type = shownTypes[entry.type];
      if (type) collect.add({ ...toShown(entry), type });
    }),
  );
  return collect.finish();
}

/** Sockets are in no archive, and nobody can restore one. */
const shownTypes: Partial<Record<SnapshotEntry["type"], Named["type"]>> = {
  file: "file",
  dir: "directory",
  symlink: "symlink",
  fifo: "fifo",
  dev: "block",
  chardev: "char",
};

/** restic does not list where a link leads to. */
const toShown = ({ path, sizeBytes, mode, mtimeNs }: SnapshotEntry) => ({
  path,
  size: sizeBytes,
  mtime: Number(mtimeNs / 1_000_000n),
  mode,
  linkPath: null,
});

async function list(
  repository: Repository,
  args: string[],
  signal: AbortSignal,
  onEntry: (entry: SnapshotEntry) => void,
): Promise<void> {
  await runRestic(repository, ["ls", "--json", ...args], {
    signal,
    onMessage: (message) => {
      if (message["struct_type"] === "node" || message["message_type"] === "node") onEntry(toEntry(message));
    },
  });
}

/** Go's own bits for what Unix has above the permissions. */
const goBits = { setuid: 1 << 23, setgid: 1 << 22, sticky: 1 << 20 };

function toEntry(message: Message): SnapshotEntry {
  const mode = Number(message["mode"] ?? 0);
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  const special =
    (has(goBits.setuid) ? 0o4000 : 0) | (has(goBits.setgid) ? 0o2000 : 0) | (has(goBits.sticky) ? 0o1000 : 0);
  return {
    path: String(message["path"]),
    type: message["type"] as SnapshotEntry["type"],
    sizeBytes: Number(message["size"] ?? 0),
    mode: (mode % 0o1000) | special,
    uid: Number(message["uid"] ?? 0),
    gid: Number(message["gid"] ?? 0),
    mtimeNs: nanoseconds(String(message["mtime"] ?? "")),
  };
}

/** Nanoseconds since 1970 of a time such as 2026-11-23T23:24:36.713636837+01:00. */
function nanoseconds(time: string): bigint {
  const [, seconds = "", fraction = "", zone = ""] =
    /^(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time) ?? [];
  const milliseconds = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(milliseconds)) return 0n;
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}
