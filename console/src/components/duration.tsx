import { useTranslation } from "react-i18next";

const steps = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
] as const;

/** How long something takes, in its two largest units. */
export function formatDuration(ms: number, language: string): string {
  if (ms < 100) return one(Math.max(0, Math.round(ms)), "millisecond", language);
  if (ms < 1000) return one(Math.max(0, ms / 1000), "second", language, 1);
  const seconds = Math.round(ms / 1000);
  const first = steps.findIndex(([, length]) => seconds >= length);
  let left = seconds;
  const parts = steps.slice(first, first + 2).map(([unit, length]) => {
    const count = Math.floor(left / length);
    left -= count * length;
    return count === 0 ? "" : one(count, unit, language);
  });
  return parts.filter(Boolean).join(" ");
}

function one(count: number, unit: string, language: string, maximumFractionDigits = 0): string {
  const format = { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits } as const;
  return new Intl.NumberFormat(language, format).format(count);
}

/** How long something took or takes; a dash while it is not known. */
export function Duration({ ms }: { ms: number | null }) {
  const { i18n } = useTranslation();
  return ms === null ? "–" : <span className="figures">{formatDuration(ms, i18n.language)}</span>;
}
