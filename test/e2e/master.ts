import { randomBytes } from "node:crypto";
import path from "node:path";

// Wrangler asks and tells nobody, and logs beside what matters, only if it is told so before it is loaded.
Object.assign(process.env, {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_LOG: "error",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
});
const { createTestHarness } = await import("wrangler");

const root = path.resolve(import.meta.dirname, "../..");
/** The last of the four sweeps of a minute is made at once when the minute is over already. */
const OVER_MS = 60_000;

type Statement = {
  bind(...values: unknown[]): Statement;
  all<T>(): Promise<{ results: T[] }>;
  run(): Promise<unknown>;
};
export type VaultObject = { key: string; size: number };
type Bindings = {
  DB: { prepare(sql: string): Statement };
  VAULT: { list(options?: { prefix: string }): Promise<{ objects: VaultObject[] }> };
};

export type Master = Bindings & { url: URL; sweep(): Promise<void>; close(): Promise<void> };

/** A new master that nobody has set up; `sweep` fires its cron, as each minute does. */
export async function startMaster(): Promise<Master> {
  const secrets = { MASTER_KEY: randomBytes(32).toString("base64") };
  const harness = createTestHarness({
    root,
    workers: [{ configPath: path.join(root, "wrangler.toml"), secrets }],
  });
  const { url } = await harness.listen();
  const worker = harness.getWorker<Bindings>();
  await worker.applyD1Migrations("DB" as never);
  const { DB, VAULT } = await worker.getEnv();
  return {
    url,
    DB,
    VAULT,
    async sweep() {
      await worker.scheduled({ cron: "* * * * *", scheduledTime: new Date(Date.now() - OVER_MS) });
    },
    close: () => harness.close(),
  };
}
