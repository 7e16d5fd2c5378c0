import { Select, type SelectProps } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useState } from "react";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer, usePages } from "../api/queries.ts";
import { useChoices } from "./choice-among-many.ts";

type Props = Omit<SelectProps, "value" | "onChange" | "data"> & {
  value: number | null;
  onChange(taskId: number | null): void;
};

/** A choice of a task by a part of its name, which the master looks for among all. */
export function TaskSelect({ value, onChange, ...rest }: Props) {
  const [typed, setTyped] = useState("");
  const [text] = useDebouncedValue(typed.trim(), 250);
  const chosen = useAnswer(
    adminApi.getTask,
    { params: { id: String(value) } },
    { enabled: value !== null },
  ).data;
  const pages = usePages(adminApi.listTasks, {
    limit: 50,
    ...(text === "" || text === chosen?.name ? {} : { text }),
  });
  const choices = useChoices(pages, chosen);
  return (
    <Select
      searchable
      {...choices}
      value={value === null ? null : String(value)}
      onChange={(id) => onChange(id === null ? null : Number(id))}
      searchValue={typed}
      onSearchChange={setTyped}
      {...rest}
    />
  );
}
