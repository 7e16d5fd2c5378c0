import { Text, Tooltip } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useNow } from "./use-now.ts";
import { viewersZone } from "./viewers-zone.ts";

type Props = {
  at: number | null;
  /** Shown too, where it is not the viewer's own. */
  timeZone?: string;
};

const steps = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** A moment: how long ago or in how long, and exactly, in the viewer's own zone, for who points at it. */
export function When({ at, timeZone }: Props) {
  const { t, i18n } = useTranslation();
  const now = useNow(10_000);
  if (at === null) return <Text size="sm">{t("common.never")}</Text>;
  const zones = timeZone === undefined || timeZone === viewersZone() ? [undefined] : [undefined, timeZone];
  const exact = zones.map((zone) => formatMoment(at, i18n.language, zone)).join(" · ");
  return (
    <Tooltip label={exact}>
      <time dateTime={new Date(at).toISOString()}>{relative(at - now, i18n.language)}</time>
    </Tooltip>
  );
}

/** A moment to the second, in the viewer's own zone or in another one. */
export function formatMoment(at: number, language: string, timeZone?: string): string {
  const zone = timeZone === undefined ? {} : { timeZone };
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long", ...zone }).format(at);
}

function relative(ms: number, language: string): string {
  const seconds = Math.round(ms / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? (["second", 1] as const);
  return format.format(Math.trunc(seconds / size), unit);
}
