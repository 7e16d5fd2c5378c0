import { z } from "zod";

const KEY_BYTES = 32;

const masterKey = z.string().transform((text, context) => {
  const bytes = decodeBase64(text);
  if (bytes?.length === KEY_BYTES) return bytes;
  context.addIssue({ code: "custom", message: `must be ${KEY_BYTES} random bytes in base64` });
  return z.NEVER;
});

const variables = z.object({
  MASTER_KEY: masterKey,
  DOORBELL_SHARDS: z.coerce.number().int().min(1).max(64),
  SESSION_HOURS: z.coerce.number().int().min(1).max(8760),
  HISTORY_DAYS: z.coerce.number().int().min(1).max(3650),
  DUE_TASKS_PER_MINUTE: z.coerce.number().int().min(1).max(1000),
});

export type Config = {
  masterKey: Uint8Array<ArrayBuffer>;
  doorbellShards: number;
  sessionMs: number;
  historyMs: number;
  /** Scheduled tasks that one minute's sweeps start; the rest waits for the next minute. */
  dueTasksPerMinute: number;
};

const HOUR_MS = 3_600_000;

/** The Worker's variables and secrets, checked; a missing or wrong one is an error that names it. */
export function readConfig(env: Env): Config {
  const parsed = variables.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new Error(`this master is not configured: ${problems.join("; ")}`);
  }
  const v = parsed.data;
  return {
    masterKey: v.MASTER_KEY,
    doorbellShards: v.DOORBELL_SHARDS,
    sessionMs: v.SESSION_HOURS * HOUR_MS,
    historyMs: v.HISTORY_DAYS * 24 * HOUR_MS,
    dueTasksPerMinute: v.DUE_TASKS_PER_MINUTE,
  };
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}
