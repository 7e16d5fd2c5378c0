import os from "node:os";

/** The value below which that share of the values lies (nearest rank); NaN of nothing. */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export const median = (values: number[]): number => percentile(values, 0.5);

export type Spread = { count: number; p50: number; p90: number; p99: number; max: number };

export const spreadOf = (values: number[]): Spread => ({
  count: values.length,
  p50: percentile(values, 0.5),
  p90: percentile(values, 0.9),
  p99: percentile(values, 0.99),
  max: percentile(values, 1),
});

/** How many rounds a bench is asked for: of none, every median would be NaN. */
export function roundsOf(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  throw new Error(`rounds must be a whole number of 1 or more, not ${text}`);
}

/** Rows of texts as columns; the first row is the head. */
export function table(rows: (string | number)[][]): string {
  const texts = rows.map((row) => row.map(String));
  const widths = (texts[0] ?? []).map((_, column) =>
    Math.max(...texts.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: string[]) =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = texts;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...body.map(line)].join(
    "\n",
  );
}

/** What the numbers were measured on, and how busy that was: without it they say little. */
export function machine(): string {
  const gib = Math.round(os.totalmem() / 2 ** 30);
  const load = os.loadavg()[0]?.toFixed(1);
  return `${os.cpus().length} cores, ${gib} GiB, ${os.type()} ${os.arch()}, Node ${process.versions.node}, load average ${load}`;
}
