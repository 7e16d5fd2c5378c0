import { Box, Button, Group, Paper, Stack, Switch, Text } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";
import { EntryList } from "./directory-browser/entry-list.tsx";
import type { Entry } from "./directory-browser/entry-row.tsx";
import { parentOf } from "./directory-browser/paths.ts";
import { canChoose, type Selection, stateOf, toggle } from "./directory-browser/selection.ts";
import { Toolbar } from "./directory-browser/toolbar.tsx";
import { ErrorNotice } from "./error-notice.tsx";
import { Waiting } from "./waiting.tsx";

type Props = {
  nodeId: number;
  /** Where it begins. */
  start?: string;
  /** With it, what is listed can be chosen. */
  selection?: Selection;
};

/** A node's directories, asked of its agent one at a time as they are opened. For operators and administrators. */
export function DirectoryBrowser({ nodeId, start = "/", selection }: Props) {
  const { t } = useTranslation();
  const [path, setPath] = useState(start);
  const [filter, setFilter] = useState("");
  const [hidden, setHidden] = useState(false);
  const list = useRef<HTMLUListElement>(null);
  const isGoing = useRef(false);
  const listing = useAnswer(
    adminApi.browseNode,
    { params: { id: String(nodeId) }, query: { path } },
    { fromAgent: true },
  );
  const go = (to: string) => {
    setPath(to);
    setFilter("");
    isGoing.current = true;
  };
  // What was pressed is gone with the list that it stood in: the keyboard goes on from the new one.
  useEffect(() => {
    if (!isGoing.current || !listing.isSuccess) return;
    isGoing.current = false;
    list.current?.focus();
  });
  const all = listing.data?.entries ?? [];
  const entries = all.filter((entry) => isShown(entry, filter, hidden));
  return (
    <Paper withBorder>
      <Stack gap="xs" p="sm">
        <Toolbar
          path={path}
          onGo={go}
          filter={filter}
          onFilter={setFilter}
          refreshing={listing.isFetching}
          onRefresh={() => listing.refetch()}
        />
      </Stack>
      <Box className="directory-body">
        {listing.isPending ? <Waiting /> : null}
        {listing.isError ? (
          <Box p="sm">
            <ErrorNotice error={listing.error} retry={() => listing.refetch()} />
          </Box>
        ) : null}
        {listing.isSuccess ? (
          <EntryList
            key={`${path} ${filter}`}
            entries={entries}
            label={t("directories.contents", { path })}
            empty={all.length === 0 ? t("directories.empty") : t("directories.nothingMatches")}
            selection={selection}
            onOpen={go}
            onUp={() => go(parentOf(path) ?? path)}
            listRef={list}
          />
        ) : null}
      </Box>
      <Group justify="space-between" px="sm" py="xs" gap="xs">
        <Text size="xs" c="dimmed" aria-live="polite">
          {listing.data ? t("directories.count", { count: entries.length }) : null}
          {listing.data?.truncated ? ` · ${t("directories.truncated")}` : null}
        </Text>
        <Group gap="md">
          <Switch
            size="xs"
            label={t("directories.hidden")}
            checked={hidden}
            onChange={(event) => setHidden(event.currentTarget.checked)}
          />
          {selection && canChoose(selection, true) ? <ChooseHere path={path} selection={selection} /> : null}
        </Group>
      </Group>
    </Paper>
  );
}

/** Chooses the directory that is being looked at. */
function ChooseHere({ path, selection }: { path: string; selection: Selection }) {
  const { t } = useTranslation();
  const state = stateOf(selection, path);
  const isChosen = state === "chosen" || state === "included";
  return (
    <Button
      size="compact-xs"
      variant={isChosen ? "light" : "default"}
      disabled={state === "included"}
      onClick={() => toggle(selection, path)}
    >
      {isChosen ? t("directories.hereChosen") : t("directories.chooseHere")}
    </Button>
  );
}

/** What is typed as a path is no filter. */
function isShown({ name }: Entry, filter: string, hidden: boolean): boolean {
  if (!hidden && name.startsWith(".")) return false;
  return /[\\/]/.test(filter) || name.toLowerCase().includes(filter.trim().toLowerCase());
}
