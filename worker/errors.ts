import type { ErrorCode } from "../protocol/index.ts";

/** A refusal that the caller is told in words: `message` is for people and holds no secret. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  /** Facts for programs, e.g. the id of the record that is in the way. */
  readonly details: Record<string, number> | undefined;
  constructor(
    code: ErrorCode,
    message: string,
    options?: { retryAfterSeconds?: number; details?: Record<string, number> },
  ) {
    super(message);
    this.name = "DomainError";
    this.code = code;
    this.retryAfterSeconds = options?.retryAfterSeconds;
    this.details = options?.details;
  }
}

const SECONDS_PER_DAY = 86_400;

/**
 * The database's own refusals that a caller can do something about. The texts are D1's; anything unknown stays an
 * internal error. D1's daily quota starts anew at midnight UTC.
 */
export function asKnownError(error: unknown, now: number): DomainError | null {
  if (error instanceof DomainError) return error;
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : "";
  if (/free tier daily/i.test(text)) {
    const untilMidnight = SECONDS_PER_DAY - (Math.floor(now / 1000) % SECONDS_PER_DAY);
    return new DomainError(
      "DAILY_QUOTA_EXHAUSTED",
      "the database's daily quota is used up until midnight UTC",
      {
        retryAfterSeconds: untilMidnight,
      },
    );
  }
  if (/D1 DB is overloaded|Too many requests queued|queued for too long/i.test(text)) {
    return new DomainError("MASTER_OVERLOADED", "the database is overloaded; try again in a moment", {
      retryAfterSeconds: 10,
    });
  }
  return null;
}

/** Whether the database refused a write because `constraint` (e.g. "nodes.name") must be unique. */
export function violates(error: unknown, constraint: string): boolean {
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : "";
  return text.includes("UNIQUE constraint failed") && text.includes(constraint);
}
