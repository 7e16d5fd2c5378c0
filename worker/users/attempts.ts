import type { Deps } from "../deps.ts";
import { DomainError } from "../errors.ts";
import { networkOf } from "./network-of.ts";

/** Attempts are forgotten this long after the last one, or after the block that it caused. */
const WINDOW_MS = 15 * 60_000;
const LIMIT_PER_ACCOUNT = 5;
/** Higher: many people can share an address. */
const LIMIT_PER_ADDRESS = 20;
const FIRST_BLOCK_MS = 30_000;
const LONGEST_BLOCK_MS = 15 * 60_000;
/** Two of the platform's machines may differ by this much; a block is far longer. */
const CLOCK_SLACK_MS = 1000;

/** An attempt that was counted before its password was looked at. */
export type Attempt = { account: string; address: string; addressUntil: number };

/**
 * Counts a password attempt as failed before the password is checked, so that guesses sent all at once are counted
 * like guesses sent in turn. Throws TOO_MANY_REQUESTS, and writes nothing, while the address or the account is
 * blocked: from the limit on, each further failure doubles the wait. Whether the account exists plays no part.
 */
export async function countAttempt(deps: Deps, username: string, ipAddress: string): Promise<Attempt> {
  const account = `account:${username}`;
  const address = `address:${networkOf(ipAddress)}`;
  const [ofAddress, ofAccount] = await deps.db.batch<{ until: number }>([
    countStatement(deps, address, LIMIT_PER_ADDRESS, "true"),
    // A blocked address must not be able to block accounts, so its attempts do not count for them.
    countStatement(deps, account, LIMIT_PER_ACCOUNT, "changes() > 0"),
  ]);
  const counted = ofAddress?.results[0];
  if (!counted || ofAccount?.results.length !== 1) throw await tooMany(deps, [account, address]);
  return { account, address, addressUntil: counted.until };
}

/** Takes a counted attempt back because its password was right: the account starts anew, the address is owed one. */
export function forgiveStatements({ db, now }: Deps, attempt: Attempt): D1PreparedStatement[] {
  return [
    db.prepare("delete from login_failures where subject = ?").bind(attempt.account),
    // A block that another attempt has caused in the meantime stays.
    db
      .prepare(
        `update login_failures set failures = max(failures - 1, 0),
           until = case when until = ?2 then ?3 else until end where subject = ?1`,
      )
      .bind(attempt.address, attempt.addressUntil, now() + WINDOW_MS),
  ];
}

/** `until` less the window is the end of the block; before the limit that is the last attempt itself. */
function countStatement({ db, now }: Deps, subject: string, limit: number, condition: string) {
  const next = "(case when until <= ?2 then 1 else failures + 1 end)";
  const block = `(case when ${next} < ${limit} then 0
    else min(${LONGEST_BLOCK_MS}, ${FIRST_BLOCK_MS} << min(${next} - ${limit}, 10)) end)`;
  return db
    .prepare(
      `insert into login_failures (subject, failures, until) select ?1, 1, ?2 + ${WINDOW_MS} where ${condition}
       on conflict (subject) do update set failures = ${next}, until = ?2 + ${WINDOW_MS} + ${block}
       where until - ${WINDOW_MS} <= ?2 + ${CLOCK_SLACK_MS}
       returning until`,
    )
    .bind(subject, now());
}

async function tooMany({ db, now }: Deps, subjects: string[]): Promise<DomainError> {
  const row = await db
    .prepare("select max(until) as until from login_failures where subject in (?, ?)")
    .bind(...subjects)
    .first<{ until: number | null }>();
  const waitMs = (row?.until ?? 0) - WINDOW_MS - now();
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new DomainError(
    "TOO_MANY_REQUESTS",
    `too many wrong passwords; try again in ${retryAfterSeconds} s`,
    {
      retryAfterSeconds,
    },
  );
}
