import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { networkOf } from "../users/network-of.ts";

const WINDOW_MS = 15 * 60_000;
/** Codes hold 80 random bits: this only keeps a guesser from being a load. */
const WRONG_CODES_PER_WINDOW = 20;

const subjectOf = (ipAddress: string) => `enroll:${networkOf(ipAddress)}`;

/** Throws TOO_MANY_REQUESTS while too many wrong codes have come from this address. */
export async function refuseGuesser({ db, now }: Deps, ipAddress: string): Promise<void> {
  const row = await db
    .prepare("select until from login_failures where subject = ?1 and until > ?2 and failures >= ?3")
    .bind(subjectOf(ipAddress), now(), WRONG_CODES_PER_WINDOW)
    .first<{ until: number }>();
  if (!row) return;
  throw new DomainError("TOO_MANY_REQUESTS", "too many wrong enrolment codes came from this address; wait", {
    retryAfterSeconds: Math.ceil((row.until - now()) / 1000),
  });
}

/** Counts a wrong code against its address. */
export async function noteWrongCode({ db, now }: Deps, ipAddress: string): Promise<void> {
  await db
    .prepare(
      `insert into login_failures (subject, failures, until) values (?1, 1, ?2)
       on conflict (subject) do update set
         failures = case when until > ?3 then failures + 1 else 1 end, until = excluded.until`,
    )
    .bind(subjectOf(ipAddress), now() + WINDOW_MS, now())
    .run();
}
