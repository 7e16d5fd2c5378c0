import { Select, type SelectProps } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer, usePages } from "../api/queries.ts";

type Props = Omit<SelectProps, "value" | "onChange" | "data" | "searchable"> & {
  value: number | null;
  onChange(nodeId: number | null): void;
};

/** Chooses a node; its name is looked for at the master, for there may be thousands. */
export function NodeSelect({ value, onChange, ...props }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [text] = useDebouncedValue(typed.trim(), 250);
  const chosen = useAnswer(
    adminApi.getNode,
    { params: { id: String(value) } },
    { enabled: value !== null },
  ).data;
  const pages = usePages(adminApi.listNodes, {
    limit: 50,
    ...(text === "" || text === chosen?.name ? {} : { text }),
  });
  const found = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const nodes = chosen && !found.some(({ id }) => id === chosen.id) ? [chosen, ...found] : found;
  return (
    <Select
      searchable
      // What the master found by host name need not have the text in its name.
      filter={({ options }) => options}
      nothingFoundMessage={pages.isFetching ? t("common.loading") : t("nav.nothingFound")}
      {...props}
      data={nodes.map(({ id, name }) => ({ value: String(id), label: name }))}
      value={value === null ? null : String(value)}
      onChange={(id) => onChange(id === null ? null : Number(id))}
      searchValue={typed}
      onSearchChange={setTyped}
    />
  );
}
