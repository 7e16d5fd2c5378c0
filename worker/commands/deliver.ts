import type { DeliveredCommand } from "../../protocol/index.ts";
import { timing } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { openTargetById } from "../targets/open-target.ts";
import type { TakenCommand } from "./take.ts";

/** A claimed command as it goes over the wire: with its target's settings opened, if its type works on one. */
export async function deliver(
  deps: Deps,
  taken: TakenCommand,
  withLease: boolean,
): Promise<DeliveredCommand> {
  return {
    id: taken.id,
    type: taken.type,
    payload: await completePayload(deps, taken),
    ...(withLease && {
      attempt: taken.attempt,
      leaseToken: taken.leaseToken,
      leaseSeconds: timing.leaseSeconds,
    }),
  };
}

async function completePayload(deps: Deps, taken: TakenCommand): Promise<Record<string, unknown>> {
  const payload = JSON.parse(taken.payload) as Record<string, unknown>;
  const targetId = payload["targetId"];
  if (typeof targetId !== "number") return payload;
  const target = await openTargetById(deps, targetId);
  return { ...payload, targetType: target.type, targetConfig: target.config };
}
