import type { SelectProps } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { type Paged, useFilled } from "../api/queries.ts";

/** Of a narrow choice whose names are long. */
export const wideDropdown: NonNullable<SelectProps["comboboxProps"]> = {
  width: "min(22rem, calc(100vw - 2rem))",
  position: "bottom-start",
};

type Choice = { id: number; name: string };

/** What a choice offers of a list that is too long for it: what was chosen, what was found, and whether there is more. */
export function useChoices(pages: Paged<Choice>, chosen: Choice | undefined) {
  const { t } = useTranslation();
  const found = pages.data?.pages.flatMap((page) => page.items) ?? [];
  useFilled(pages, found.length);
  const others = found.filter(({ id }) => id !== chosen?.id);
  const isLooking = pages.isFetching || (pages.hasNextPage && found.length === 0);
  return {
    data: [
      ...(chosen ? [chosen, ...others] : others).map(({ id, name }) => ({ value: String(id), label: name })),
      ...(pages.hasNextPage ? [{ value: "", label: t("common.typeForMore"), disabled: true }] : []),
    ],
    // What the master found, by a host name for example, need not have the text in its name.
    filter: ({ options }) => options,
    nothingFoundMessage: isLooking ? t("common.loading") : t("nav.nothingFound"),
    // The name of what was chosen may be longer than its field.
    title: chosen?.name,
  } satisfies Partial<SelectProps>;
}
