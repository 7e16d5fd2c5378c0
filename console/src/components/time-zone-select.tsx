import { Select } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { viewersZone } from "./viewers-zone.ts";

type Props = { label: string; value: string; onChange(timeZone: string): void; error?: ReactNode };

/** A time zone, searched by its name; the viewer's own and UTC come first. */
export function TimeZoneSelect({ value, onChange, ...props }: Props) {
  const { t } = useTranslation();
  const zones = new Set([value, viewersZone(), "UTC", ...Intl.supportedValuesOf("timeZone")]);
  return (
    <Select
      {...props}
      searchable
      limit={100}
      allowDeselect={false}
      maw={320}
      data={[...zones]}
      value={value}
      onChange={(zone) => zone !== null && onChange(zone)}
      nothingFoundMessage={t("nav.nothingFound")}
    />
  );
}
