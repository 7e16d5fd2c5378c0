import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { type Config, readConfig } from "./config.ts";
import type { Bell } from "./doorbell/bell.ts";
import { connectBell } from "./doorbell/connect.ts";
import { type Board, connectBoard } from "./live/board.ts";
import { watchDatabase } from "./live/watch-database.ts";
import { randomHex } from "./secrets/hash.ts";
import { deriveKeys, type Keys } from "./secrets/keys.ts";
import { makeSealer, type Sealer } from "./secrets/seal.ts";

/** Everything that a verb may touch of the world outside; the first argument of each. */
export type Deps = {
  /** Prepared SQL, for hot paths and conditional statements; open consoles are told what it changes. */
  db: D1Database;
  /** The same database through drizzle, for people's queries. */
  orm: DrizzleD1Database;
  vault: R2Bucket;
  bell: Bell;
  board: Board;
  sealer: Sealer;
  keys: Keys;
  config: Config;
  /** Milliseconds since 1970 UTC; the only clock. */
  now: () => number;
  /** Waits; only for verbs whose caller waits with them. */
  sleep: (milliseconds: number) => Promise<void>;
  /** A new secret of 32 random bytes as hex, for agents, sessions and API keys. */
  newToken: () => string;
  log: (message: string, fields?: Record<string, unknown>) => void;
};

/** The one place that assembles them. */
export function makeDeps(env: Env): Deps {
  const config = readConfig(env);
  const keys = deriveKeys(config);
  const board = connectBoard(env.NOTICEBOARD);
  const db = watchDatabase(env.DB, board.tell);
  return {
    db,
    orm: drizzle(db),
    vault: env.VAULT,
    bell: connectBell(env.DOORBELL, config.doorbellShards),
    board,
    sealer: makeSealer(keys),
    keys,
    config,
    now: () => Date.now(),
    sleep: (milliseconds) => scheduler.wait(milliseconds),
    newToken: () => randomHex(32),
    log: (message, fields) => console.log(JSON.stringify({ message, ...fields })),
  };
}
