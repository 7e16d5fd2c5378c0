import { inBoth, type TokenBucket, tokenBucket } from "../storage/limited.ts";
import type { Job } from "./job.ts";

/** A target, as far as its bandwidth goes: bytes per second, null for no cap. */
export type CappedTarget = { id: number; bandwidthBytesPerSecond: number | null };

/**
 * The buckets of one job: its own for all that it sends and fetches, and below it one for each target that has a cap of its
 * own, however often that target is opened. `makeBucket` is told bytes per second.
 */
export function bandwidthOf(
  ofJob: number | null,
  makeBucket: (bytesPerSecond: number) => TokenBucket = tokenBucket,
): (target: CappedTarget | null) => TokenBucket | undefined {
  const whole = ofJob === null ? undefined : makeBucket(ofJob);
  const ofTargets = new Map<number, TokenBucket>();
  const ownOf = ({ id, bandwidthBytesPerSecond }: CappedTarget) => {
    if (bandwidthBytesPerSecond === null) return undefined;
    const own = ofTargets.get(id) ?? makeBucket(bandwidthBytesPerSecond);
    ofTargets.set(id, own);
    return own;
  };
  return (target) => {
    const own = target ? ownOf(target) : undefined;
    return whole && own ? inBoth(whole, own) : (own ?? whole);
  };
}

/** What all that a job sends and fetches is capped to: by its node, its task or, where there is only one, its target. */
export function capOf(job: Job): number | null {
  switch (job.kind) {
    case "backup":
      return job.spec.pipeline.bandwidthBytesPerSecond;
    case "restore":
    case "copy":
    case "verify":
      return job.spec.bandwidthBytesPerSecond;
    case "inspect_archive":
      return job.inspection.bandwidthBytesPerSecond;
    case "test_target":
    case "delete_object":
    case "forget_snapshot":
      return job.bandwidthBytesPerSecond;
    default:
      return null;
  }
}
