import { Select, type SelectProps } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useState } from "react";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer, usePages } from "../api/queries.ts";
import { useChoices } from "./choice-among-many.ts";

type Props = Omit<SelectProps, "value" | "onChange" | "data" | "searchable"> & {
  value: number | null;
  onChange(nodeId: number | null): void;
};

/** Chooses a node; its name is looked for at the master, for there may be thousands. */
export function NodeSelect({ value, onChange, ...props }: Props) {
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
  const choices = useChoices(pages, chosen);
  return (
    <Select
      searchable
      {...choices}
      {...props}
      value={value === null ? null : String(value)}
      onChange={(id) => onChange(id === null ? null : Number(id))}
      searchValue={typed}
      onSearchChange={setTyped}
    />
  );
}
