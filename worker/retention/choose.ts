import type { z } from "zod";
import type { objects } from "../../protocol/index.ts";

/** A good record of a task, as retention sees it. */
export type Candidate = {
  id: number;
  /** When it was made: its start. */
  at: number;
  /** The full backup that it cannot be restored without. */
  baseId: number | null;
  locked: boolean;
  /** Something reads, verifies or copies it. */
  busy: boolean;
  /** It has a good copy. */
  stored: boolean;
};
export type Verdict = { id: number; at: number; keep: boolean; reasons: string[]; keptBy: KeptBy[] };

type KeptBy = z.output<typeof objects.keptBy>;

const DAY_MS = 86_400_000;

type Period = "daily" | "weekly" | "monthly" | "yearly";
const counts = {
  daily: "keepDaily",
  weekly: "keepWeekly",
  monthly: "keepMonthly",
  yearly: "keepYearly",
} as const satisfies Record<Period, keyof objects.Retention>;

/**
 * Which of a task's good records its retention keeps, newest first, and why. Each rule keeps what it keeps whatever the
 * others say. `keepDaily: 7` keeps the newest record of each of the last seven days that have one, in the task's time
 * zone, and so on for ISO weeks, months and years; a day without a backup uses nothing up.
 *
 * Only what can be restored counts: a record whose copies are all lost or damaged stands for no day, and stays for a
 * person to look at. The newest restorable record always stays, and so does the base of what stays.
 */
export function chooseRecords(
  records: readonly Candidate[],
  policy: objects.Retention | null,
  timeZone: string,
  now: number,
): Verdict[] {
  const newestFirst = [...records].sort((a, b) => b.at - a.at || b.id - a.id);
  const keptBy = new Map<number, KeptBy[]>(newestFirst.map(({ id }) => [id, []]));
  const keep: Keep = (id, rule, value = "") => void keptBy.get(id)?.push({ rule, value: String(value) });
  const byId = new Map(newestFirst.map((record) => [record.id, record]));
  const restorable = newestFirst.filter(
    ({ stored, baseId }) => stored && (baseId === null || byId.get(baseId)?.stored === true),
  );

  if (policy === null) for (const { id } of newestFirst) keep(id, "noRetention");
  else keepByRules(restorable, policy, timeZone, now, keep);
  const [newest] = restorable;
  if (newest) keep(newest.id, "newest");
  for (const record of newestFirst) {
    if (record.locked) keep(record.id, "locked");
    if (record.busy) keep(record.id, "busy");
    if (!restorable.includes(record)) keep(record.id, "noGoodCopy");
  }
  // Last, when it is known what stays.
  for (const { id, baseId } of newestFirst) {
    if (baseId !== null && keptBy.get(id)?.length) keep(baseId, "baseOf", id);
  }
  return newestFirst.map(({ id, at }) => {
    const why = keptBy.get(id) ?? [];
    const keeps = why.length > 0;
    const reasons = keeps ? why.map(inWords) : [`kept by none of ${rulesOf(policy)}`];
    return { id, at, keep: keeps, reasons, keptBy: why };
  });
}

function keepByRules(
  restorable: Candidate[],
  policy: objects.Retention,
  timeZone: string,
  now: number,
  keep: Keep,
): void {
  const { keepLast = 0, keepDays } = policy;
  for (const { id } of restorable.slice(0, keepLast)) keep(id, "last", keepLast);
  if (keepDays !== undefined) {
    const young = restorable.filter(({ at }) => at > now - keepDays * DAY_MS);
    for (const { id } of young) keep(id, "days", keepDays);
  }
  const dayOf = calendar(timeZone);
  for (const [period, field] of Object.entries(counts) as [Period, (typeof counts)[Period]][]) {
    const wanted = policy[field] ?? 0;
    const seen = new Set<string>();
    for (const { id, at } of restorable) {
      const name = periodOf[period](dayOf(at));
      if (seen.has(name)) continue;
      if (seen.size === wanted) break;
      seen.add(name);
      keep(id, period, name);
    }
  }
}

type Keep = (id: number, rule: KeptBy["rule"], value?: string | number) => void;

type Day = { year: number; month: number; day: number };

/** The day on the calendar of a time zone; also where clocks change at midnight, a moment has one day only. */
function calendar(timeZone: string): (at: number) => Day {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "gregory",
    numberingSystem: "latn",
    year: "numeric",
    month: "numeric",
    day: "numeric",
  });
  return (at) => {
    const parts = Object.fromEntries(
      format.formatToParts(at).map(({ type, value }) => [type, Number(value)]),
    );
    return { year: parts["year"] ?? 0, month: parts["month"] ?? 0, day: parts["day"] ?? 0 };
  };
}

const pad = (number: number, width = 2) => String(number).padStart(width, "0");

const periodOf: Record<Period, (day: Day) => string> = {
  daily: ({ year, month, day }) => `${pad(year, 4)}-${pad(month)}-${pad(day)}`,
  weekly: isoWeek,
  monthly: ({ year, month }) => `${pad(year, 4)}-${pad(month)}`,
  yearly: ({ year }) => pad(year, 4),
};

/** A week belongs to the year that its Thursday is in. */
function isoWeek({ year, month, day }: Day): string {
  const date = Date.UTC(year, month - 1, day);
  const weekday = (new Date(date).getUTCDay() + 6) % 7;
  const thursday = date + (3 - weekday) * DAY_MS;
  const weekYear = new Date(thursday).getUTCFullYear();
  const week = Math.floor((thursday - Date.UTC(weekYear, 0, 1)) / (7 * DAY_MS)) + 1;
  return `${pad(weekYear, 4)}-W${pad(week)}`;
}

const rulesOf = (policy: objects.Retention | null) =>
  Object.entries(policy ?? {})
    .map(([rule, count]) => `${rule} ${count}`)
    .join(", ");

function inWords({ rule, value }: KeptBy): string {
  switch (rule) {
    case "noRetention":
      return "the task has no retention";
    case "newest":
      return "the newest";
    case "locked":
      return "locked";
    case "busy":
      return "being restored, verified or copied";
    case "noGoodCopy":
      return "it has no good copy: look at it";
    case "baseOf":
      return `base of record ${value}`;
    case "last":
      return `one of the last ${value}`;
    case "days":
      return `not older than ${value} days`;
    default:
      return `${rule} ${value}`;
  }
}
