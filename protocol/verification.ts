import { z } from "zod";

/**
 * How far a backup was looked into. 1: the object is there with its size; 2: every byte was hashed; 3: it was opened and
 * read through; 4: it was restored to a scratch place and compared.
 */
export const grades = [1, 2, 3, 4] as const;
export const grade = z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]);
export type Grade = z.output<typeof grade>;

/** One thing that was looked at. `damaged`: it is not what was stored; `not_checked`: it could not be looked at. */
export const check = z.object({
  grade,
  name: z.string().max(64),
  outcome: z.enum(["passed", "damaged", "not_checked"]),
  detail: z.string().max(4000),
});
export type Check = z.output<typeof check>;

/** Everything that a verification found, and in which paths what was restored differs from what was stored. */
export const report = z.object({
  checks: z.array(check).max(200),
  differences: z.array(z.object({ path: z.string().max(8192), reason: z.string().max(2000) })).max(200),
  differenceCount: z.int().nonnegative(),
  entries: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
});
export type Report = z.output<typeof report>;

/**
 * The highest grade all of whose checks, and those of the grades below it, passed; null: not even the first. It is
 * never rounded up: what could not be looked at has not passed.
 */
export function gradeReached(checks: readonly Check[]): Grade | null {
  const missed = grades.findIndex((one) => {
    const own = checks.filter(({ grade }) => grade === one);
    return own.length === 0 || own.some(({ outcome }) => outcome !== "passed");
  });
  return missed === -1 ? 4 : (grades[missed - 1] ?? null);
}

export const isDamaged = (checks: readonly Check[]): boolean =>
  checks.some(({ outcome }) => outcome === "damaged");

/** What kept a verification from the grade that was asked for, in words; empty when nothing did. */
export const shortfall = (checks: readonly Check[]): string =>
  checks
    .filter(({ outcome }) => outcome !== "passed")
    .map(({ detail }) => detail)
    .join("; ");
