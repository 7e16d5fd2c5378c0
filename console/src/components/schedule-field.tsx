import { Chip, Group, Input, NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { formatOf, type Rhythm, type Turn, turnOf } from "./schedule-field/rhythm.ts";
import { useScheduleWords } from "./schedule-words.tsx";
import { viewersZone } from "./viewers-zone.ts";

type Props = {
  /** What it is a schedule of, for who hears the page. */
  label: string;
  value: string;
  onChange(schedule: string): void;
  timeZone: string;
  error?: ReactNode;
};

/** A schedule: a rhythm that most people want, or any cron expression; in words, and when it comes next. */
export function ScheduleField({ label, value, onChange, timeZone, error }: Props) {
  const { t } = useTranslation();
  const turn = turnOf(value);
  const [isCustom, setCustom] = useState(turn === null);
  const rhythm: Rhythm = isCustom || turn === null ? "custom" : turn.rhythm;
  const choose = (next: Rhythm) => {
    setCustom(next === "custom");
    if (next !== "custom") onChange(formatOf({ ...(turn ?? defaults), rhythm: next }));
  };
  return (
    <Stack gap="xs" role="group" aria-label={label}>
      <Group gap="sm" align="flex-end">
        <Select
          label={t("schedule.rhythm")}
          w={210}
          allowDeselect={false}
          data={(["hourly", "daily", "weekly", "monthly", "custom"] as const).map((one) => ({
            value: one,
            label: t(`schedule.${one}`),
          }))}
          value={rhythm}
          onChange={(next) => choose(next as Rhythm)}
        />
        {rhythm === "custom" ? (
          <TextInput
            label={t("schedule.expression")}
            flex={1}
            miw={180}
            ff="monospace"
            spellCheck={false}
            autoComplete="off"
            value={value}
            error={error ? true : null}
            onChange={(event) => onChange(event.currentTarget.value)}
          />
        ) : (
          <TurnFields
            turn={{ ...(turn ?? defaults), rhythm }}
            onChange={(next) => onChange(formatOf(next))}
          />
        )}
      </Group>
      {rhythm === "custom" ? (
        <Text size="xs" c="dimmed">
          {t("schedule.expressionHint")}
        </Text>
      ) : null}
      <InWords schedule={value} timeZone={timeZone} error={error} />
    </Stack>
  );
}

const defaults: Turn = { rhythm: "daily", minute: 0, hour: 3, days: [0], day: 1 };

type TurnProps = { turn: Turn; onChange(turn: Turn): void };

function TurnFields({ turn, onChange }: TurnProps) {
  const { t } = useTranslation();
  if (turn.rhythm === "hourly") {
    return (
      <NumberInput
        label={t("schedule.minute")}
        w={120}
        min={0}
        max={59}
        clampBehavior="strict"
        value={turn.minute}
        onChange={(minute) => onChange({ ...turn, minute: Number(minute) })}
      />
    );
  }
  return (
    <>
      {turn.rhythm === "monthly" ? (
        <NumberInput
          label={t("schedule.dayOfMonth")}
          w={120}
          min={1}
          max={31}
          clampBehavior="strict"
          value={turn.day}
          onChange={(day) => onChange({ ...turn, day: Number(day) || 1 })}
        />
      ) : null}
      <TextInput
        type="time"
        label={t("schedule.time")}
        w={130}
        value={`${two(turn.hour)}:${two(turn.minute)}`}
        onChange={(event) => {
          const [hour, minute] = event.currentTarget.value.split(":").map(Number);
          if (hour !== undefined && minute !== undefined) onChange({ ...turn, hour, minute });
        }}
      />
      {turn.rhythm === "weekly" ? <Weekdays turn={turn} onChange={onChange} /> : null}
    </>
  );
}

const two = (number: number) => String(number).padStart(2, "0");

/** 5 January 2025 was a Sunday. */
const A_SUNDAY = Date.UTC(2025, 0, 5);
const DAY_MS = 86_400_000;

function Weekdays({ turn, onChange }: TurnProps) {
  const { t, i18n } = useTranslation();
  const format = new Intl.DateTimeFormat(i18n.language, { weekday: "short", timeZone: "UTC" });
  return (
    <Chip.Group
      multiple
      value={turn.days.map(String)}
      onChange={(days) => days.length > 0 && onChange({ ...turn, days: days.map(Number).sort() })}
    >
      <Group gap={6} role="group" aria-label={t("schedule.weekdays")} mb={4}>
        {[1, 2, 3, 4, 5, 6, 0].map((day) => (
          <Chip key={day} value={String(day)} size="xs">
            {format.format(A_SUNDAY + day * DAY_MS)}
          </Chip>
        ))}
      </Group>
    </Chip.Group>
  );
}

type WordsProps = { schedule: string; timeZone: string; error: ReactNode };

/** What the master makes of it: its next turns, or why it is no schedule. */
function InWords({ schedule, timeZone, error }: WordsProps) {
  const { t, i18n } = useTranslation();
  const words = useScheduleWords(schedule);
  const [asked] = useDebouncedValue(schedule.trim(), 300);
  const preview = useAnswer(
    adminApi.previewSchedule,
    { query: { schedule: asked, timeZone } },
    { enabled: asked !== "" },
  );
  const refused = error ?? (preview.error?.code === "UNREACHABLE" ? null : preview.error?.message);
  if (refused) return <Input.Error role="alert">{refused}</Input.Error>;
  const inZone = new Intl.DateTimeFormat(i18n.language, { dateStyle: "full", timeStyle: "short", timeZone });
  const own = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "short" });
  const isForeign = timeZone !== viewersZone();
  return (
    <Stack gap={4} aria-live="polite">
      <Text size="sm" fw={500}>
        {words}
      </Text>
      <Text size="xs" c="dimmed">
        {t("schedule.nextRuns", { timeZone })}
      </Text>
      <ol className="next-runs">
        {(preview.data?.runs ?? []).map((at) => (
          <li key={at}>
            {inZone.format(at)}
            {isForeign ? (
              <Text span size="xs" c="dimmed">
                {" "}
                {t("schedule.yourTime", { time: own.format(at) })}
              </Text>
            ) : null}
          </li>
        ))}
      </ol>
    </Stack>
  );
}
