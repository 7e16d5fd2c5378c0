import { Cron } from "croner";
import { DomainError } from "../errors.ts";

/**
 * Throws SCHEDULE_INVALID, in words, for what is not five cron fields in a known time zone, or never comes. Seconds are
 * refused: schedules are looked at every 15 s. So is `?`, which would mean the moment of saving.
 */
export function validateSchedule(expression: string, timeZone: string): void {
  requireTimeZone(timeZone);
  if (expression.trim().split(/\s+/).length !== 5 || /[?@]/.test(expression)) {
    throw invalid(`"${expression}" must be five fields: minute hour day-of-month month day-of-week`);
  }
  // Five fields name no year, so what does not come after any one time never comes.
  if (nextRun(expression, timeZone, 0) === null) throw invalid(`"${expression}" never comes`);
}

/**
 * The first run after `after`. In the hour that a clock change skips, a fixed time runs when the skipped time is over
 * (02:30 at 03:00); in the hour that comes twice it runs the first time only. Expressions with `*` or steps in minute or
 * hour keep their interval through both.
 */
export function nextRun(expression: string, timeZone: string, after: number): number | null {
  return parse(expression, timeZone).nextRun(new Date(after))?.getTime() ?? null;
}

/** The first `count` runs after `after`. */
export function nextRuns(expression: string, timeZone: string, after: number, count: number): number[] {
  return parse(expression, timeZone)
    .nextRuns(count, new Date(after))
    .map((run) => run.getTime());
}

function parse(expression: string, timeZone: string): Cron {
  try {
    return new Cron(expression, { timezone: timeZone, mode: "5-part", fixedTimeRule: "no-wildcard" });
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Cron\w+: /, "") : String(error);
    throw invalid(`"${expression}" is not a schedule: ${reason}`);
  }
}

function requireTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    throw invalid(`"${timeZone}" is not a time zone; use a name like Europe/Berlin`);
  }
}

const invalid = (message: string) => new DomainError("SCHEDULE_INVALID", message);
