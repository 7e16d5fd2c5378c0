import { z } from "zod";
import * as o from "./objects.ts";
import * as s from "./states.ts";

/** The first few of what is alike, and how many there are: 50 means 50 or more. */
const some = <T extends z.ZodType>(item: T) => z.object({ count: z.int(), items: z.array(item) });
const ofTask = { taskId: o.id, name: z.string() };

/** What needs somebody, by kind. */
const attention = z.object({
  /** Tasks whose last run came to nothing. */
  failing: some(
    z.object({
      ...ofTask,
      outcome: z.enum(["failed", "missed"]),
      at: o.time,
      recordId: o.id.nullable(),
      error: z.string(),
    }),
  ),
  /** Tasks whose next success should have come by now. */
  overdue: some(z.object({ ...ofTask, dueAt: o.time, succeededAt: o.time.nullable() })),
  /** Backups that wait for their node for more than half an hour. */
  waiting: some(
    z.object({ recordId: o.id, name: z.string(), nodeName: z.string().nullable(), since: o.time }),
  ),
  offline: some(z.object({ nodeId: o.id, name: z.string(), lastSeen: o.time.nullable() })),
  /** What a verification has found, unless a later one of the same copy found it good. */
  damaged: some(
    z.object({
      verificationId: o.id,
      recordId: o.id,
      name: z.string(),
      targetName: z.string().nullable(),
      error: z.string(),
    }),
  ),
  /** Tasks whose last full backups read less than half of what they used to. */
  shrunk: some(z.object({ ...ofTask, recordId: o.id.nullable(), bytes: z.int(), usualBytes: z.int() })),
  /** Targets of whose room at least nine tenths are used. */
  filling: some(z.object({ targetId: o.id, name: z.string(), usedBytes: z.int(), quotaBytes: z.int() })),
  /** Targets whose last test failed. */
  broken: some(z.object({ targetId: o.id, name: z.string(), at: o.time, error: z.string() })),
  /** Tasks that have backups, none of which was ever verified; and the last run, unless it failed. */
  unverified: some(z.object({ ...ofTask, succeededAt: o.time, recordId: o.id.nullable() })),
});

/** Whether everything is safe, and what there is. */
export const overview = z.object({
  totals: z.object({ nodes: z.int(), tasks: z.int(), targets: z.int() }),
  /** What a new master has got to. */
  begun: z.object({ connected: z.boolean(), backedUp: z.boolean() }),
  attention,
  /** The last 30 days of UTC, oldest first; days without a run are there, too. */
  days: z.array(
    z.object({
      /** Its beginning. */
      at: o.time,
      succeeded: z.int(),
      failed: z.int(),
      missed: z.int(),
      storedBytes: z.int(),
    }),
  ),
  targets: z.array(
    z.object({
      id: o.id,
      name: z.string(),
      type: s.targetType,
      usedBytes: z.int(),
      quotaBytes: z.int().nullable(),
    }),
  ),
  tasksByNode: z.array(z.object({ nodeId: o.id, name: z.string(), tasks: z.int() })),
  nextRuns: z.array(z.object({ ...ofTask, at: o.time, nodeName: z.string().nullable() })),
  running: z.array(o.record),
  recent: z.array(o.record),
});
