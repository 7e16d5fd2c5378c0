import { useTranslation } from "react-i18next";

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** An amount of data in the unit that leaves one to four digits before the point. */
export function formatBytes(bytes: number, language: string): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const amount = bytes / 1024 ** power;
  const maximumFractionDigits = power === 0 || amount >= 100 ? 0 : 1;
  return `${new Intl.NumberFormat(language, { maximumFractionDigits }).format(amount)} ${units[power]}`;
}

/** An amount of data; a dash for one that is not known. */
export function Bytes({ of }: { of: number | null }) {
  const { i18n } = useTranslation();
  return of === null ? "–" : <span className="figures">{formatBytes(of, i18n.language)}</span>;
}
