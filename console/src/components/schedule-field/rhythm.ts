export type Rhythm = "hourly" | "daily" | "weekly" | "monthly" | "custom";
/** A turn that comes in a plain rhythm; what a rhythm has no use for is kept for when another one is chosen. */
export type Turn = { rhythm: Rhythm; minute: number; hour: number; days: number[]; day: number };

const WEEK = 7;

/** The plain rhythm that an expression means; null for any other one. */
export function turnOf(expression: string): Turn | null {
  const [minute = "", hour = "", day = "", month, weekday = "", ...rest] = expression.trim().split(/\s+/);
  if (rest.length > 0 || month !== "*" || !isNumber(minute, 59)) return null;
  const turn = { minute: Number(minute), hour: 3, days: [0], day: 1 };
  if (hour === "*") return day === "*" && weekday === "*" ? { ...turn, rhythm: "hourly" } : null;
  if (!isNumber(hour, 23)) return null;
  const at = { ...turn, hour: Number(hour) };
  if (day === "*" && weekday === "*") return { ...at, rhythm: "daily" };
  if (day === "*") {
    const days = weekdaysOf(weekday);
    return days && { ...at, rhythm: "weekly", days };
  }
  return weekday === "*" && isNumber(day, 31) ? { ...at, rhythm: "monthly", day: Number(day) } : null;
}

/** The expression of a plain rhythm. */
export function formatOf({ rhythm, minute, hour, days, day }: Turn): string {
  switch (rhythm) {
    case "hourly":
      return `${minute} * * * *`;
    case "weekly":
      return `${minute} ${hour} * * ${days.join(",")}`;
    case "monthly":
      return `${minute} ${hour} ${day} * *`;
    default:
      return `${minute} ${hour} * * *`;
  }
}

const isNumber = (text: string, max: number) => /^\d{1,2}$/.test(text) && Number(text) <= max;

/** Days as numbers, Sunday is 0; null for names and steps, which stay as they were written. */
function weekdaysOf(text: string): number[] | null {
  const days = new Set<number>();
  for (const part of text.split(",")) {
    const [, from, to = from] = /^([0-7])(?:-([0-7]))?$/.exec(part) ?? [];
    if (from === undefined || Number(to) < Number(from)) return null;
    for (let day = Number(from); day <= Number(to); day++) days.add(day % WEEK);
  }
  return [...days].sort();
}
