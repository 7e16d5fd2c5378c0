import { Button, Center, ScrollArea, Text } from "@mantine/core";
import { type KeyboardEvent, type RefObject, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Entry, EntryRow } from "./entry-row.tsx";
import type { Selection } from "./selection.ts";

/** As many as are drawn at once: a directory may hold thousands. */
const STEP = 200;

type Props = {
  entries: Entry[];
  label: string;
  empty: string;
  selection: Selection | undefined;
  onOpen(path: string): void;
  onUp(): void;
  listRef: RefObject<HTMLUListElement | null>;
};

/** What a directory holds; the arrow keys go from one entry to the next, and to the directory above. */
export function EntryList({ entries, label, empty, selection, onOpen, onUp, listRef }: Props) {
  const { t } = useTranslation();
  const [shown, setShown] = useState(STEP);
  return (
    <ScrollArea.Autosize mah={360} type="auto">
      <ul
        ref={listRef}
        aria-label={label}
        className="directory-list"
        tabIndex={-1}
        onKeyDown={(event) => onListKey(event, onUp)}
      >
        {entries.slice(0, shown).map((entry) => (
          <EntryRow key={entry.path} entry={entry} selection={selection} onOpen={onOpen} />
        ))}
      </ul>
      {entries.length === 0 ? (
        <Text size="sm" c="dimmed" ta="center" p="lg">
          {empty}
        </Text>
      ) : null}
      {entries.length > shown ? (
        <Center p="xs">
          <Button size="xs" variant="default" onClick={() => setShown(shown + STEP)}>
            {t("common.more")}
          </Button>
        </Center>
      ) : null}
    </ScrollArea.Autosize>
  );
}

const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, Home: -1e9, End: 1e9 };

function onListKey(event: KeyboardEvent<HTMLUListElement>, onUp: () => void): void {
  if (event.key === "Backspace" || event.key === "ArrowLeft") {
    event.preventDefault();
    return onUp();
  }
  const step = steps[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const stops = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-entry]")];
  const row = document.activeElement?.closest("li");
  const at = stops.findIndex((stop) => stop.closest("li") === row);
  stops[Math.max(0, Math.min(stops.length - 1, at + step))]?.focus();
}
