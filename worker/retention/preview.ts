import type { z } from "zod";
import type { adminApi } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noSuchTask } from "../tasks/read.ts";
import { readCandidates } from "./candidates.ts";
import { chooseRecords } from "./choose.ts";

/** What a task's retention would keep and remove now, newest first, each with the reason; changes nothing. */
export async function previewRetention(
  deps: Deps,
  taskId: number,
): Promise<z.input<typeof adminApi.previewRetention.reply>> {
  const kept = await readCandidates(deps, taskId);
  if (kept === null) throw noSuchTask(taskId);
  const verdicts = chooseRecords(kept.candidates, kept.policy, kept.timeZone, deps.now());
  return {
    retention: kept.policy,
    records: verdicts.map(({ id, ...verdict }) => ({ recordId: id, ...verdict })),
  };
}
