import { sourceOf } from "../sources/open-source.ts";
import type { Access } from "../sources/source.ts";
import type { Job } from "./job.ts";

/** Removes from a server what the restore with this mark was loading when it was killed. */
export async function dropUnfinished(
  { source, mark }: Extract<Job, { kind: "drop_unfinished" }>,
  access: Access,
): Promise<{ dropped: string[] }> {
  const { dropUnfinished: drop } = sourceOf(source.type);
  return { dropped: drop ? await drop(source, mark, access) : [] };
}
