import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";
import { useFilters } from "../../components/use-filters.ts";

const names = ["status", "taskId", "nodeId", "kind", "from", "until"] as const;
export type RecordFilters = ReturnType<typeof useFilters>;
type Query = z.input<typeof adminApi.listRecords.query>;

/** The filters of the list of records, and the query that they make: days are the viewer's, the last one included. */
export function useRecordFilters(): { filters: RecordFilters; query: Query } {
  const filters = useFilters(names);
  const { get } = filters;
  const query = {
    taskId: get("taskId") ?? undefined,
    nodeId: get("nodeId") ?? undefined,
    status: (get("status") ?? undefined) as Query["status"],
    kind: (get("kind") ?? undefined) as Query["kind"],
    from: startOfDay(get("from"), 0),
    until: startOfDay(get("until"), 1),
  };
  return { filters, query };
}

function startOfDay(day: string | null, daysLater: number): number | undefined {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day ?? "") ?? [];
  if (date === undefined) return undefined;
  return new Date(Number(year), Number(month) - 1, Number(date) + daysLater).getTime();
}
