import type { z } from "zod";
import { type adminApi, objects } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { noSuchTask } from "../tasks/read.ts";
import { readCandidates } from "./candidates.ts";
import { chooseRecords } from "./choose.ts";

/**
 * What a task's retention would keep and remove now, newest first, each with the reason; changes nothing. `asked` rules,
 * if there are any, stand in for the task's own.
 */
export async function previewRetention(
  deps: Deps,
  taskId: number,
  asked: z.output<typeof adminApi.previewRetention.query>,
): Promise<z.input<typeof adminApi.previewRetention.reply>> {
  const kept = await readCandidates(deps, taskId);
  if (kept === null) throw noSuchTask(taskId);
  const isAsked = Object.values(asked).some((count) => count !== undefined);
  const policy = isAsked ? objects.retention.parse(asked) : kept.policy;
  const verdicts = chooseRecords(kept.candidates, policy, kept.timeZone, deps.now());
  return {
    retention: policy,
    records: verdicts.map(({ id, ...verdict }) => ({ recordId: id, ...verdict })),
  };
}
