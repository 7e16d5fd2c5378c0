import { describe, expect, it } from "vitest";
import { type Candidate, chooseRecords } from "../../worker/retention/choose.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let ids = 0;
const at = (when: string, more: Partial<Candidate> = {}): Candidate => ({
  id: ++ids,
  at: Date.parse(when),
  baseId: null,
  locked: false,
  busy: false,
  stored: true,
  ...more,
});
type Policy = Parameters<typeof chooseRecords>[1];
const NOW = Date.parse("2026-11-23T12:00:00Z");

/** The times that are kept, oldest first, as they were written. */
function kept(records: Candidate[], policy: Policy, timeZone = "UTC", now = NOW): string[] {
  const verdicts = chooseRecords(records, policy, timeZone, now);
  return verdicts
    .filter(({ keep }) => keep)
    .map((verdict) => new Date(verdict.at).toISOString().replace(":00.000Z", "Z"))
    .reverse();
}
const reasonsOf = (records: Candidate[], policy: Policy, id: number, timeZone = "UTC") =>
  chooseRecords(records, policy, timeZone, NOW).find((verdict) => verdict.id === id)?.reasons;
const hourly = (from: string, count: number) =>
  Array.from({ length: count }, (_, hour) => at(new Date(Date.parse(from) + hour * HOUR).toISOString()));

describe("retention", () => {
  it("keeps everything where a task has none", () => {
    expect(kept([at("2001-01-01T00:00Z"), at("2002-01-01T00:00Z")], null)).toHaveLength(2);
  });

  it("keeps the newest so many", () => {
    const records = hourly("2026-11-20T00:00Z", 10);
    expect(kept(records, { keepLast: 3 })).toEqual([
      "2026-11-20T07:00Z",
      "2026-11-20T08:00Z",
      "2026-11-20T09:00Z",
    ]);
    expect(kept(records, { keepLast: 100 })).toHaveLength(10);
  });

  it("does not care in what order the records come", () => {
    const records = hourly("2026-11-18T00:00Z", 100);
    const shuffled = [...records].sort((a, b) => ((a.id * 7919) % 101) - ((b.id * 7919) % 101));
    const policy = { keepLast: 2, keepDaily: 3, keepWeekly: 2 };
    expect(kept(shuffled, policy)).toEqual(kept(records, policy));
  });

  it("keeps the newest of each of the last days that have one, and no day of a gap", () => {
    const records = [
      at("2026-11-10T01:00Z"),
      at("2026-11-10T23:00Z"),
      at("2026-11-11T05:00Z"),
      at("2026-11-20T01:00Z"),
      at("2026-11-20T02:00Z"),
    ];
    expect(kept(records, { keepDaily: 2 })).toEqual(["2026-11-11T05:00Z", "2026-11-20T02:00Z"]);
    expect(kept(records, { keepDaily: 3 })).toEqual([
      "2026-11-10T23:00Z",
      "2026-11-11T05:00Z",
      "2026-11-20T02:00Z",
    ]);
  });

  it("lets each rule keep what it keeps", () => {
    const records = Array.from({ length: 800 }, (_, day) => at(new Date(NOW - day * DAY).toISOString()));
    const policy = { keepLast: 2, keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: 2 };
    const stay = chooseRecords(records, policy, "UTC", NOW).filter(({ keep }) => keep);
    const all = stay.flatMap(({ reasons }) => reasons);
    expect(all.filter((reason) => reason.startsWith("daily"))).toHaveLength(7);
    expect(all.filter((reason) => reason.startsWith("weekly"))).toHaveLength(4);
    expect(all.filter((reason) => reason.startsWith("monthly"))).toHaveLength(12);
    expect(all.filter((reason) => reason.startsWith("yearly"))).toEqual(["yearly 2026", "yearly 2025"]);
    expect(stay.length).toBeLessThan(2 + 7 + 4 + 12 + 2);
  });

  it("counts days by the task's time zone", () => {
    // 23:30 and 00:30 in Berlin: two days there, one in UTC.
    const records = [at("2026-11-19T22:30Z"), at("2026-11-19T23:30Z")];
    expect(kept(records, { keepDaily: 5 }, "UTC")).toEqual(["2026-11-19T23:30Z"]);
    expect(kept(records, { keepDaily: 5 }, "Europe/Berlin")).toHaveLength(2);
    expect(kept(records, { keepDaily: 5 }, "Pacific/Kiritimati")).toEqual(["2026-11-19T23:30Z"]);
  });

  it.each([
    // 25 hours: both 02:30 are of the same day.
    ["Europe/Berlin", "2026-10-24T22:00Z", 25, "2026-10-25T22:00Z"],
    // 23 hours.
    ["Europe/Berlin", "2026-03-28T23:00Z", 23, "2026-03-29T21:00Z"],
    // Midnight itself is skipped there.
    ["America/Asuncion", "2024-10-06T04:00Z", 23, "2024-10-07T02:00Z"],
    // Half an hour of difference between summer and winter.
    ["Australia/Lord_Howe", "2026-04-04T13:00Z", 25, "2026-04-05T13:00Z"],
  ])("takes the day of a clock change in %s for one day", (timeZone, from, hours, last) => {
    expect(kept(hourly(from, hours), { keepDaily: 9 }, timeZone)).toEqual([last]);
    expect(kept(hourly(from, hours + 1), { keepDaily: 9 }, timeZone)).toHaveLength(2);
  });

  it("gives a day that a time zone left out no backup", () => {
    // Samoa had no 30 December 2011.
    const records = hourly("2011-12-30T05:00Z", 12);
    expect(kept(records, { keepDaily: 9 }, "Pacific/Apia")).toEqual([
      "2011-12-30T09:00Z",
      "2011-12-30T16:00Z",
    ]);
  });

  it("knows leap days and the ends of months and years", () => {
    const records = [
      "2028-02-28",
      "2028-02-29",
      "2028-03-01",
      "2027-02-28",
      "2027-03-01",
      "2027-12-31",
      "2028-01-01",
    ].map((day) => at(`${day}T12:00Z`));
    const now = Date.parse("2028-03-02T00:00Z");
    expect(kept(records, { keepDaily: 3 }, "UTC", now)).toEqual([
      "2028-02-28T12:00Z",
      "2028-02-29T12:00Z",
      "2028-03-01T12:00Z",
    ]);
    expect(kept(records, { keepMonthly: 4 }, "UTC", now)).toEqual([
      "2027-12-31T12:00Z",
      "2028-01-01T12:00Z",
      "2028-02-29T12:00Z",
      "2028-03-01T12:00Z",
    ]);
    expect(kept(records, { keepYearly: 2 }, "UTC", now)).toEqual(["2027-12-31T12:00Z", "2028-03-01T12:00Z"]);
  });

  it.each([
    ["2026-01-01", "2026-W01"],
    ["2027-01-01", "2026-W53"],
    ["2027-01-03", "2026-W53"],
    ["2027-01-04", "2027-W01"],
    ["2024-12-30", "2025-W01"],
    ["2028-12-31", "2028-W52"],
    ["2020-12-31", "2020-W53"],
  ])("puts %s into the ISO week %s", (day, week) => {
    const record = at(`${day}T12:00Z`);
    expect(reasonsOf([record], { keepWeekly: 1 }, record.id)).toContain(`weekly ${week}`);
  });

  it("keeps what is not older than so many days, to the millisecond", () => {
    const edge = NOW - 30 * DAY;
    const records = [edge - 1, edge, edge + 1].map((time) => at(new Date(time).toISOString()));
    const stay = chooseRecords(records, { keepDays: 30 }, "Europe/Berlin", NOW).filter(({ keep }) => keep);
    expect(stay.map((verdict) => verdict.at)).toEqual([edge + 1]);
  });

  it("never removes the newest, however old it is", () => {
    expect(kept([at("1999-01-01T00:00Z"), at("2000-01-01T00:00Z")], { keepDays: 1 })).toEqual([
      "2000-01-01T00:00Z",
    ]);
  });

  it("never removes what is locked or in use, which uses no place of another up", () => {
    const records = [
      at("2026-11-01T00:00Z", { locked: true }),
      at("2026-11-02T00:00Z", { busy: true }),
      at("2026-11-03T00:00Z"),
      at("2026-11-04T00:00Z"),
    ];
    expect(kept(records, { keepLast: 1 })).toEqual([
      "2026-11-01T00:00Z",
      "2026-11-02T00:00Z",
      "2026-11-04T00:00Z",
    ]);
  });

  it("does not take a record without a good copy for a backup: the one before it stays", () => {
    const lost = at("2026-11-04T00:00Z", { stored: false });
    const records = [at("2026-11-02T00:00Z"), at("2026-11-03T00:00Z"), lost];
    expect(kept(records, { keepLast: 1 })).toEqual(["2026-11-03T00:00Z", "2026-11-04T00:00Z"]);
    expect(reasonsOf(records, { keepLast: 1 }, lost.id)).toEqual(["it has no good copy: look at it"]);
  });

  it("keeps the base of what it keeps, and takes a differential whose base is lost for no backup", () => {
    const base = at("2026-11-01T00:00Z");
    const one = at("2026-11-02T00:00Z", { baseId: base.id });
    const two = at("2026-11-03T00:00Z", { baseId: base.id });
    expect(kept([base, one, two], { keepLast: 1 })).toEqual(["2026-11-01T00:00Z", "2026-11-03T00:00Z"]);
    expect(reasonsOf([base, one, two], { keepLast: 1 }, base.id)).toEqual([`base of record ${two.id}`]);
    const full = at("2026-10-01T00:00Z");
    const lostBase = { ...base, stored: false };
    expect(kept([full, lostBase, two], { keepLast: 1 })).toContain("2026-10-01T00:00Z");
  });

  it("removes a base together with all that builds on it", () => {
    const base = at("2026-11-01T00:00Z");
    const records = [base, at("2026-11-02T00:00Z", { baseId: base.id }), at("2026-11-03T00:00Z")];
    expect(kept(records, { keepLast: 1 })).toEqual(["2026-11-03T00:00Z"]);
  });

  it("says why of each", () => {
    const records = hourly("2026-11-20T00:00Z", 2);
    const [old, young] = records;
    expect(reasonsOf(records, { keepLast: 1, keepDaily: 1 }, young?.id ?? 0)).toEqual([
      "one of the last 1",
      "daily 2026-11-20",
      "the newest",
    ]);
    expect(reasonsOf(records, { keepLast: 1, keepDaily: 1 }, old?.id ?? 0)).toEqual([
      "kept by none of keepLast 1, keepDaily 1",
    ]);
  });

  it("decides the same of the newer records whether or not it sees the older ones", () => {
    const records = Array.from({ length: 2000 }, (_, n) => at(new Date(NOW - n * 7 * HOUR).toISOString()));
    const policy = { keepLast: 5, keepDaily: 14, keepWeekly: 8, keepMonthly: 12, keepYearly: 3 };
    const newer = records.slice(0, 700);
    const oldest = new Date(newer.at(-1)?.at ?? 0).toISOString();
    expect(kept(records, policy).filter((time) => time >= oldest.slice(0, 16))).toEqual(kept(newer, policy));
  });
});
