/** Runs `work` on up to `limit` items at once and yields the results in the order of the items. */
export async function* mapInOrder<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  limit: number | (() => number),
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const most = typeof limit === "number" ? () => limit : limit;
  const running: Promise<Result>[] = [];
  for await (const item of items) {
    const result = work(item);
    // It is awaited below; until then a failure must not count as an unhandled one.
    result.catch(() => {});
    running.push(result);
    if (running.length >= most()) yield await (running.shift() as Promise<Result>);
  }
  for (const result of running) yield await result;
}
