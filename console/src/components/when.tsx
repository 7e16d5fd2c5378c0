import { Text, Tooltip } from "@mantine/core";
import { useInterval } from "@mantine/hooks";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

type Props = { at: number | null };

const steps = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** A moment: how long ago or in how long, and exactly, in the viewer's own zone, for who points at it. */
export function When({ at }: Props) {
  const { t, i18n } = useTranslation();
  const now = useNow();
  if (at === null) return <Text size="sm">{t("common.never")}</Text>;
  const exact = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "long" }).format(at);
  return (
    <Tooltip label={exact}>
      <time dateTime={new Date(at).toISOString()}>{relative(at - now, i18n.language)}</time>
    </Tooltip>
  );
}

function relative(ms: number, language: string): string {
  const seconds = Math.round(ms / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? (["second", 1] as const);
  return format.format(Math.trunc(seconds / size), unit);
}

function useNow(): number {
  const [now, setNow] = useState(Date.now);
  const clock = useInterval(() => setNow(Date.now()), 10_000);
  useEffect(() => {
    clock.start();
    return clock.stop;
  }, [clock.start, clock.stop]);
  return now;
}
