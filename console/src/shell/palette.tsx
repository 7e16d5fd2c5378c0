import { useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import {
  createSpotlight,
  Spotlight,
  type SpotlightActionData,
  type SpotlightActionGroupData,
} from "@mantine/spotlight";
import {
  IconArchive,
  IconDatabase,
  IconListCheck,
  IconMoon,
  IconPlus,
  IconSearch,
  IconServer,
  IconSun,
} from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import type { z } from "zod";
import type { Role } from "../../../protocol/states.ts";
import { adminApi } from "../api/admin-api.ts";
import { call } from "../api/call.ts";
import { useMe } from "../session.tsx";
import { places } from "./places.ts";

type Found = z.output<typeof adminApi.search.reply>["items"][number];

const TYPING_MS = 150;
const [store, palette] = createSpotlight();
export const openPalette = palette.open;

/** Ctrl+K: goes to any page, node, task, target or backup, and does what is done often. */
export function Palette() {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [text] = useDebouncedValue(typed.trim(), TYPING_MS);
  const search = useSearch(text);
  const fixed = [usePages(), useDeeds()];
  const found = useFound(text === "" ? [] : (search.data ?? []));
  useFirstSelected(search.data);
  return (
    <Spotlight
      store={store}
      shortcut={["mod + K", "mod + P"]}
      query={typed}
      onQueryChange={setTyped}
      clearQueryOnClose
      scrollable
      maxHeight="min(26rem, 70vh)"
      highlightQuery
      actions={[...fixed, ...found]}
      // What the master has found comes last: it must not move from under the finger what is there at once.
      filter={(query, groups) => [
        ...fixed.flatMap((group) => matching(group, query)),
        ...groups.filter((group) => found.includes(group as SpotlightActionGroupData)),
      ]}
      attributes={{ content: { "aria-label": t("nav.search") } }}
      nothingFound={
        search.isFetching ? t("palette.searching") : `${t("nav.nothingFound")} · ${t("palette.hint")}`
      }
      searchProps={{
        leftSection: <IconSearch size={18} aria-hidden />,
        placeholder: t("nav.searchHint"),
        "aria-label": t("nav.search"),
      }}
    />
  );
}

function useSearch(text: string) {
  return useQuery({
    queryKey: ["/api/search", text],
    queryFn: async ({ signal }) => (await call(adminApi.search, { query: { text }, signal })).items,
    enabled: text !== "",
    placeholderData: keepPreviousData,
  });
}

/** Enter goes to the first that fits, also when it was the master that found it and nothing else was there to choose. */
function useFirstSelected(found: Found[] | undefined): void {
  useEffect(() => {
    const list = document.getElementById(store.getState().listId);
    if (!found || !list || list.querySelector("[data-selected]")) return;
    // Spotlight marks the first when something is typed, which has no way to be told that more came later.
    list.querySelector("[data-action]")?.setAttribute("data-selected", "true");
    store.updateState((state) => ({ ...state, selected: 0 }));
  }, [found]);
}

function matching({ group, actions }: SpotlightActionGroupData, query: string): SpotlightActionGroupData[] {
  const wanted = query.trim().toLowerCase();
  const fitting = actions.filter(({ label }) => label?.toLowerCase().includes(wanted));
  return fitting.length === 0 ? [] : [{ group, actions: fitting }];
}

const kinds = [
  { kind: "node", path: "/nodes", group: "palette.nodes", icon: IconServer },
  { kind: "task", path: "/tasks", group: "palette.tasks", icon: IconListCheck },
  { kind: "target", path: "/targets", group: "palette.targets", icon: IconDatabase },
  { kind: "record", path: "/records", group: "palette.records", icon: IconArchive },
] as const;

function useFound(found: Found[]): SpotlightActionGroupData[] {
  const { t } = useTranslation();
  const navigate = useNavigate();
  return kinds
    .map(({ kind, path, group, icon: Shape }) => ({
      group: t(group),
      actions: found
        .filter((one) => one.kind === kind)
        .map(({ id, name }) => ({
          id: `${kind}-${id}`,
          label: name,
          ...(kind === "record" ? { description: t("palette.record", { id }) } : {}),
          onClick: () => void navigate(`${path}/${id}`),
          leftSection: <Shape size={18} aria-hidden />,
        })),
    }))
    .filter(({ actions }) => actions.length > 0);
}

function usePages(): SpotlightActionGroupData {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const me = useMe();
  const actions = places
    .filter(({ role }) => me.may(role))
    .map(({ path, label, icon: Shape }) => ({
      id: path,
      label: t(label),
      onClick: () => void navigate(path),
      leftSection: <Shape size={18} aria-hidden />,
    }));
  return { group: t("palette.pages"), actions };
}

/** What is done often, for who may do it. */
function useDeeds(): SpotlightActionGroupData {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const me = useMe();
  const { setColorScheme } = useMantineColorScheme();
  const isDark = useComputedColorScheme("light") === "dark";
  const adding = (path: string, label: string, role: Role): SpotlightActionData[] =>
    me.may(role)
      ? [
          {
            id: path,
            label,
            onClick: () => void navigate(path),
            leftSection: <IconPlus size={18} aria-hidden />,
          },
        ]
      : [];
  const actions = [
    ...adding("/nodes/new", t("palette.addNode"), "admin"),
    ...adding("/tasks/new", t("palette.addTask"), "operator"),
    ...adding("/targets/new", t("palette.addTarget"), "admin"),
    {
      id: "appearance",
      label: isDark ? t("palette.light") : t("palette.dark"),
      onClick: () => setColorScheme(isDark ? "light" : "dark"),
      leftSection: isDark ? <IconSun size={18} aria-hidden /> : <IconMoon size={18} aria-hidden />,
    },
  ];
  return { group: t("palette.actions"), actions };
}
