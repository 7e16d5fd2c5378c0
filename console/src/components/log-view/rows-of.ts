import type { LogLine } from "../../api/live.ts";

/** One line of a log as it is shown; what an agent sends at once may be several. */
export type Row = { key: string; at: number; text: string };

export const rowsOf = (lines: readonly LogLine[]): Row[] =>
  lines.flatMap(({ seq, at, text }) =>
    text
      .replace(/\n$/, "")
      .split("\n")
      .map((line, index) => ({ key: `${seq}.${index}`, at, text: line })),
  );

export const textOf = (rows: readonly Row[]): string =>
  rows.map(({ at, text }) => `${new Date(at).toISOString()} ${text}\n`).join("");

/** Which rows have a text in them, whatever its case. */
export function matchesIn(rows: readonly Row[], wanted: string): number[] {
  if (wanted === "") return [];
  const small = wanted.toLowerCase();
  return rows.flatMap(({ text }, index) => (text.toLowerCase().includes(small) ? [index] : []));
}
