import type { Deps } from "../deps.ts";
import { removeAll } from "../records/remove-all.ts";
import { system } from "../users/actor.ts";
import { readCandidates } from "./candidates.ts";
import { chooseRecords } from "./choose.ts";

/** Records that one look removes at most; the next look takes the rest. */
const MAX_AT_ONCE = 50;

/**
 * Removes what a task's retention no longer keeps, the way a person would, with an audit entry each that says which
 * rules kept it until now. Returns how many records it has marked.
 */
export async function expireRecords(deps: Deps, taskId: number): Promise<number> {
  const kept = await readCandidates(deps, taskId);
  if (kept === null || kept.policy === null) return 0;
  const verdicts = chooseRecords(kept.candidates, kept.policy, kept.timeZone, deps.now());
  const baseIds = new Map(kept.candidates.map(({ id, baseId }) => [id, baseId]));
  const doomed = verdicts
    .filter(({ keep }) => !keep)
    .reverse()
    .slice(0, MAX_AT_ONCE)
    .map(({ id, reasons }) => ({ id, reason: `retention: ${reasons.join(", ")}` }));
  // What builds on another goes first, or the other could not go.
  const isDifferential = ({ id }: { id: number }) => typeof baseIds.get(id) === "number";
  const marked = [
    ...(await removeAll(deps, system, "record.expire", doomed.filter(isDifferential))),
    ...(await removeAll(
      deps,
      system,
      "record.expire",
      doomed.filter((record) => !isDifferential(record)),
    )),
  ];
  return marked.length;
}

/** The same after a run, whose own report must not fail because of it. */
export async function expireAfterRun(deps: Deps, taskId: number): Promise<void> {
  try {
    await expireRecords(deps, taskId);
  } catch (error) {
    deps.log("retention failed", { taskId, error: String(error) });
  }
}
