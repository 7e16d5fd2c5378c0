/** A page of rows, of which one more was read than the page may hold: only where that one is there, another page follows. */
export function cutPage<Row extends { id: number }>(
  rows: Row[],
  limit: number,
): { items: Row[]; next: number | null } {
  const items = rows.slice(0, limit);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}
