import type { Delivery } from "../journal.ts";

/** How a command ended, and what its record or restore is told before the command itself is closed. */
export type Outcome = {
  reports: Delivery[];
  result: Extract<Delivery, { kind: "result" }>["body"];
};

/** A failure of a command that also has something to tell its record. */
export class FailedRun extends Error {
  readonly reports: Delivery[];
  constructor(reports: Delivery[], cause: unknown) {
    super(messageOf(cause), { cause });
    this.reports = reports;
  }
}

export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, 8000) || "no reason was given";
