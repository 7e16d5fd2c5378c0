import { Button, Center, Paper, Table } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type Paged, useFilled } from "../api/queries.ts";
import { ErrorNotice } from "./error-notice.tsx";
import { Waiting } from "./waiting.tsx";

export type Column<Item> = { label: string; cell(item: Item): ReactNode; width?: number | string };
type Props<Item> = {
  caption: string;
  columns: Column<Item>[];
  items: Item[];
  keyOf(item: Item): string | number;
};

/** A table; on a phone each row is a block of names and values. */
export function Rows<Item>({ caption, columns, items, keyOf }: Props<Item>) {
  return (
    <Paper withBorder>
      <Table className="rows-as-blocks" aria-label={caption} verticalSpacing="sm" highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {columns.map(({ label, width }) =>
              // What heads nothing is no header.
              label === "" ? (
                <Table.Td key={label} w={width} />
              ) : (
                <Table.Th key={label} w={width} scope="col">
                  {label}
                </Table.Th>
              ),
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((item) => (
            <Table.Tr key={keyOf(item)}>
              {columns.map(({ label, cell }) => (
                <Table.Td key={label} data-label={label}>
                  {cell(item)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Paper>
  );
}

type PagedProps<Item> = Omit<Props<Item>, "items"> & { pages: Paged<Item>; empty: ReactNode };

/** A list of the master, page after page as it is asked for. */
export function PagedRows<Item>({ pages, empty, ...rows }: PagedProps<Item>) {
  const { t } = useTranslation();
  const items = pages.data?.pages.flatMap((page) => page.items) ?? [];
  useFilled(pages, items.length);
  if (pages.isPending) return <Waiting />;
  if (!pages.data) return <ErrorNotice error={pages.error} retry={() => pages.refetch()} />;
  if (items.length === 0) return pages.hasNextPage ? <Waiting /> : empty;
  return (
    <>
      <Rows {...rows} items={items} />
      {pages.hasNextPage ? (
        <Center>
          <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>
            {t("common.more")}
          </Button>
        </Center>
      ) : null}
    </>
  );
}
