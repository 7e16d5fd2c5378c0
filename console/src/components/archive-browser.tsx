import { Box, Button, Center, Group, Paper, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { z } from "zod";
import { adminApi } from "../api/admin-api.ts";
import { type ApiError, call } from "../api/call.ts";
import { EntryList } from "./directory-browser/entry-list.tsx";
import { isAbsolute, parentOf } from "./directory-browser/paths.ts";
import type { Selection } from "./directory-browser/selection.ts";
import { Toolbar } from "./directory-browser/toolbar.tsx";
import { ErrorNotice } from "./error-notice.tsx";
import { NodeSelect } from "./node-select.tsx";
import { Waiting } from "./waiting.tsx";

type Contents = z.output<typeof adminApi.recordContents.reply>;
type Props = {
  record: Pick<z.output<typeof adminApi.getRecord.reply>, "id" | "nodeId" | "encrypted" | "source">;
  /** With it, what is listed can be chosen. */
  selection?: Selection;
};

/**
 * What a backup of files holds, one directory at a time, or everything below one with a text in its name; an agent reads
 * it from the archive. Who else may read it can be chosen, for the node that was backed up may be gone.
 */
export function ArchiveBrowser({ record, selection }: Props) {
  const { t } = useTranslation();
  const [path, setPath] = useState(() => topOf(record));
  const [filter, setFilter] = useState("");
  const [nodeId, setNodeId] = useState(record.nodeId);
  const [typedKey, setTypedKey] = useState("");
  const [name] = useDebouncedValue(isAbsolute(filter) ? "" : filter.trim(), 400);
  const [identityFile] = useDebouncedValue(typedKey.trim(), 800);
  const list = useRef<HTMLUListElement>(null);
  const contents = useContents(record.id, { path, name, nodeId, identityFile });
  const go = (to: string) => {
    setPath(to);
    setFilter("");
    // The button that was pressed is about to go: the keyboard goes on from the list.
    requestAnimationFrame(() => list.current?.focus());
  };
  const entries = (contents.data?.pages ?? []).flatMap((page) =>
    page.entries.map((entry) => ({
      // Found somewhere below, a name alone would not tell where.
      name: name === "" ? entry.name : entry.path,
      path: entry.path,
      isDir: entry.type === "directory",
      size: entry.size,
    })),
  );
  return (
    <Stack gap="sm">
      <Group gap="sm" align="flex-end">
        <NodeSelect label={t("record.readBy")} w={240} value={nodeId} onChange={setNodeId} />
        {record.encrypted ? (
          <TextInput
            label={t("record.identityFile")}
            placeholder={t("record.identityHint")}
            flex={1}
            miw={240}
            value={typedKey}
            onChange={({ currentTarget }) => setTypedKey(currentTarget.value)}
          />
        ) : null}
      </Group>
      <Paper withBorder>
        <Stack gap="xs" p="sm">
          <Toolbar
            path={path}
            onGo={go}
            filter={filter}
            onFilter={setFilter}
            refreshing={contents.isFetching}
            onRefresh={() => contents.refetch()}
            hint={t("record.searchBelow")}
          />
        </Stack>
        <Box className="directory-body">
          {contents.isPending ? <Waiting /> : null}
          {contents.isError ? (
            <Box p="sm">
              <ErrorNotice error={contents.error} retry={() => contents.refetch()} />
            </Box>
          ) : null}
          {contents.data ? (
            <EntryList
              entries={entries}
              label={t("directories.contents", { path })}
              empty={name === "" ? t("directories.empty") : t("directories.nothingMatches")}
              selection={selection}
              onOpen={go}
              onUp={() => go(parentOf(path) ?? path)}
              listRef={list}
            />
          ) : null}
          {contents.hasNextPage ? (
            <Center p="xs">
              <Button
                size="xs"
                variant="default"
                loading={contents.isFetchingNextPage}
                onClick={() => contents.fetchNextPage()}
              >
                {t("common.more")}
              </Button>
            </Center>
          ) : null}
        </Box>
      </Paper>
    </Stack>
  );
}

/** Of one directory that was backed up, what lies in it; above it there is nothing to choose from. */
function topOf({ source }: Props["record"]): string {
  const paths = source?.type === "file" ? source.paths : [];
  return paths.length === 1 ? (paths[0] ?? "/") : "/";
}

type Asked = { path: string; name: string; nodeId: number | null; identityFile: string };

/** An archive never changes, so that what an agent has told of it is not asked for again. */
function useContents(recordId: number, { path, name, nodeId, identityFile }: Asked) {
  const query = {
    path,
    ...(name === "" ? {} : { name }),
    ...(nodeId === null ? {} : { nodeId }),
    ...(identityFile === "" ? {} : { identityFile }),
  };
  return useInfiniteQuery<Contents, ApiError, { pages: Contents[] }, readonly unknown[], string | undefined>({
    queryKey: ["from agents", "contents", recordId, query],
    queryFn: ({ pageParam, signal }) =>
      call(adminApi.recordContents, {
        params: { id: String(recordId) },
        query: { ...query, after: pageParam },
        signal,
      }),
    initialPageParam: undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });
}
