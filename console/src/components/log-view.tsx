import { ActionIcon, Button, Group, Paper, Stack, Switch, Text, TextInput } from "@mantine/core";
import { IconChevronDown, IconChevronUp, IconDownload, IconSearch } from "@tabler/icons-react";
import { type UIEvent, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { LogLine } from "../api/live.ts";
import { EmptyLog } from "./log-view/empty-log.tsx";
import { LogRow } from "./log-view/log-row.tsx";
import { matchesIn, rowsOf, textOf } from "./log-view/rows-of.ts";

type Props = {
  /** What the log is of, for who hears the page, and the name of its file when it is saved. */
  name: string;
  lines: readonly LogLine[];
  /** More lines may come. */
  isLive: boolean;
};

/** In step with `.log-row` of console.css: all rows are of one height, so that only what is seen needs to be drawn. */
const ROW_PX = 20;
const SEEN_ROWS = 22;
const SPARE_ROWS = 20;
/** None of the matches has been gone to. */
const NONE = -1;

/**
 * A log that follows its end while it grows, until one scrolls up or stops it. It can be searched, by Enter from match to
 * match, and saved. Of 20,000 lines only those in sight are drawn.
 */
export function LogView({ name, lines, isLive }: Props) {
  const { t } = useTranslation();
  const rows = useMemo(() => rowsOf(lines), [lines]);
  const view = useRef<HTMLElement>(null);
  const [top, setTop] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  const [wanted, setWanted] = useState("");
  const [current, setCurrent] = useState(NONE);
  const matches = useMemo(() => matchesIn(rows, wanted), [rows, wanted]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the new rows that have to be followed
  useEffect(() => {
    if (isFollowing && view.current) view.current.scrollTop = view.current.scrollHeight;
  }, [rows, isFollowing]);

  const goTo = (wantedIndex: number) => {
    const index = wantedIndex < 0 ? matches.length - 1 : wantedIndex % Math.max(matches.length, 1);
    const match = matches[index];
    if (match === undefined || !view.current) return;
    setCurrent(index);
    setFollowing(false);
    view.current.scrollTop = Math.max(0, match * ROW_PX - (SEEN_ROWS * ROW_PX) / 2);
  };
  const scrolled = ({ currentTarget: at }: UIEvent<HTMLElement>) => {
    setTop(at.scrollTop);
    const isAtEnd = at.scrollHeight - at.scrollTop - at.clientHeight < ROW_PX;
    // Scrolling up stops following, and scrolling to the end goes on with it.
    if (isAtEnd !== isFollowing && (isAtEnd || at.scrollTop < top)) setFollowing(isAtEnd);
  };
  const first = Math.max(0, Math.floor(top / ROW_PX) - SPARE_ROWS);
  const shown = rows.slice(first, first + SEEN_ROWS + 2 * SPARE_ROWS);
  return (
    <Paper withBorder>
      <Stack gap={0}>
        <Group p="xs" gap="xs">
          <TextInput
            size="xs"
            flex="1 1 200px"
            leftSection={<IconSearch size={14} aria-hidden />}
            placeholder={t("log.search")}
            aria-label={t("log.search")}
            value={wanted}
            onChange={({ currentTarget }) => {
              setWanted(currentTarget.value);
              setCurrent(NONE);
            }}
            onKeyDown={({ key, shiftKey }) => (key === "Enter" ? goTo(current + (shiftKey ? -1 : 1)) : null)}
          />
          {wanted === "" ? null : (
            <Group gap={4} wrap="nowrap">
              <Text size="xs" c="dimmed" role="status" className="figures">
                {matches.length === 0
                  ? t("log.noMatch")
                  : t("log.matches", { current: current + 1, count: matches.length })}
              </Text>
              <ActionIcon
                size="sm"
                variant="default"
                disabled={matches.length === 0}
                aria-label={t("log.previous")}
                onClick={() => goTo(current - 1)}
              >
                <IconChevronUp size={14} aria-hidden />
              </ActionIcon>
              <ActionIcon
                size="sm"
                variant="default"
                disabled={matches.length === 0}
                aria-label={t("log.next")}
                onClick={() => goTo(current + 1)}
              >
                <IconChevronDown size={14} aria-hidden />
              </ActionIcon>
            </Group>
          )}
          {isLive ? (
            <Switch
              size="xs"
              label={t("log.follow")}
              checked={isFollowing}
              onChange={({ currentTarget }) => setFollowing(currentTarget.checked)}
            />
          ) : null}
          <Button
            size="xs"
            variant="default"
            leftSection={<IconDownload size={14} aria-hidden />}
            disabled={rows.length === 0}
            onClick={() => save(name, textOf(rows))}
          >
            {t("log.save")}
          </Button>
        </Group>
        {rows.length === 0 ? (
          <EmptyLog isLive={isLive} />
        ) : (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
          <section ref={view} className="log-view" tabIndex={0} aria-label={name} onScroll={scrolled}>
            <div className="log-rows" style={{ height: rows.length * ROW_PX, paddingTop: first * ROW_PX }}>
              {shown.map((row, index) => (
                <LogRow
                  key={row.key}
                  row={row}
                  wanted={wanted}
                  isCurrent={wanted !== "" && matches[current] === first + index}
                />
              ))}
            </div>
          </section>
        )}
      </Stack>
    </Paper>
  );
}

function save(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${name}.log`;
  link.click();
  URL.revokeObjectURL(address);
}
