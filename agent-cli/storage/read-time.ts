/** A date as servers write it, in milliseconds since 1970; null for none, and for what is no date. */
export function readTime(text: unknown): number | null {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}
