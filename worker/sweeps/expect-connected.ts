import type { Deps } from "../deps.ts";

/**
 * Names to the Doorbell every node that the database takes for connected. Its census tells of each that went, unless
 * its own memory was lost (its storage was emptied, a shard was taken away), and this makes good for that. It reads the
 * whole table, so it is for once a day.
 */
export async function expectConnected({ db, bell }: Deps): Promise<void> {
  const { results } = await db
    .prepare("select id from nodes where connection = 'socket'")
    .all<{ id: number }>();
  await bell.expect(results.map(({ id }) => id));
}
