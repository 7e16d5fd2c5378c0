import { Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Language } from "../i18n/i18n.ts";
import { viewersZone } from "./viewers-zone.ts";

type Props = { schedule: string; timeZone?: string };
type InWords = (schedule: string) => string;

/** A cron expression in the reader's language, and its time zone if it is not the reader's own. */
export function ScheduleWords({ schedule, timeZone }: Props) {
  const words = useScheduleWords(schedule);
  const isForeign = timeZone !== undefined && timeZone !== viewersZone();
  return (
    <>
      {words ?? <span className="figures">{schedule}</span>}
      {isForeign ? (
        <Text span c="dimmed" size="xs">
          {" "}
          {timeZone}
        </Text>
      ) : null}
    </>
  );
}

/** What an expression means; null while the words are being loaded, and for what is no expression. */
export function useScheduleWords(schedule: string): string | null {
  const { i18n } = useTranslation();
  const language = i18n.language as Language;
  const [inWords, setInWords] = useState<InWords | null>(null);
  useEffect(() => {
    let isOver = false;
    void load(language).then((loaded) => isOver || setInWords(() => loaded));
    return () => {
      isOver = true;
    };
  }, [language]);
  if (inWords === null) return null;
  try {
    return inWords(schedule);
  } catch {
    return null;
  }
}

/** Loaded only by pages that show schedules, and Chinese only by who reads it. */
async function load(language: Language): Promise<InWords> {
  const { default: cronstrue } = await import("cronstrue");
  if (language === "zh") await import("cronstrue/locales/zh_CN");
  const locale = { en: "en", zh: "zh_CN" }[language];
  return (schedule) => {
    const options = { locale, use24HourTimeFormat: true, verbose: isDaily(schedule) };
    const words = cronstrue.toString(schedule, options);
    return language === "zh" ? inChinese(words) : words;
  };
}

/** It translates word by word, with the punctuation of English. */
const inChinese = (words: string) => words.replace(/^在/, "").replaceAll(", ", "，");

/** "At 03:00" alone leaves open which days; of rarer turns the words always tell. */
const isDaily = (schedule: string) => /^\d+ \d+ \* \* \*$/.test(schedule.trim());
