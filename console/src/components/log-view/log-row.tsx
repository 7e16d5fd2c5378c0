import { Highlight } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Row } from "./rows-of.ts";

/** One line: when, by the viewer's clock, and what; what is searched for is marked. */
export function LogRow({ row, wanted, isCurrent }: { row: Row; wanted: string; isCurrent: boolean }) {
  const { i18n } = useTranslation();
  return (
    <div className="log-row" data-current={isCurrent || undefined}>
      <time dateTime={new Date(row.at).toISOString()}>
        {new Intl.DateTimeFormat(i18n.language, { timeStyle: "medium", hour12: false }).format(row.at)}
      </time>
      {wanted === "" ? (
        row.text
      ) : (
        <Highlight component="span" inherit highlight={wanted}>
          {row.text}
        </Highlight>
      )}
    </div>
  );
}
