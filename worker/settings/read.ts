import type { z } from "zod";
import { type adminApi, protocolRange } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";
import { VERSION } from "../version.ts";

const HOUR_MS = 3_600_000;

/** What this master is and how it is set up, for people; no secrets. */
export async function readSettings({
  db,
  config,
}: Deps): Promise<z.input<typeof adminApi.getSettings.reply>> {
  // The database tells its size with every answer.
  const { meta } = await db.prepare("select 1").run();
  return {
    version: VERSION,
    protocol: protocolRange,
    databaseBytes: meta.size_after,
    sessionHours: config.sessionMs / HOUR_MS,
    historyDays: config.historyMs / (24 * HOUR_MS),
    dueTasksPerMinute: config.dueTasksPerMinute,
    doorbellShards: config.doorbellShards,
  };
}
