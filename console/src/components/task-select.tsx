import { Select, type SelectProps } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { useAnswer } from "../api/queries.ts";

type Props = Omit<SelectProps, "value" | "onChange" | "data"> & {
  value: number | null;
  onChange(taskId: number | null): void;
};

/** A choice of a task by a part of its name, which the master looks for among all. */
export function TaskSelect({ value, onChange, ...rest }: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [text] = useDebouncedValue(typed.trim(), 250);
  const chosen = useAnswer(adminApi.getTask, { params: { id: String(value) } }, { enabled: value !== null });
  const isChosen = chosen.data?.name === text;
  const found = useAnswer(adminApi.listTasks, {
    query: { limit: 50, ...(text === "" || isChosen ? {} : { text }) },
  });
  const others = (found.data?.items ?? []).filter(({ id }) => id !== value);
  const known = chosen.data && value !== null ? [chosen.data, ...others] : others;
  return (
    <Select
      searchable
      nothingFoundMessage={t("nav.nothingFound")}
      data={known.map(({ id, name }) => ({ value: String(id), label: name }))}
      value={value === null ? null : String(value)}
      onChange={(id) => onChange(id === null ? null : Number(id))}
      searchValue={typed}
      onSearchChange={setTyped}
      {...rest}
    />
  );
}
