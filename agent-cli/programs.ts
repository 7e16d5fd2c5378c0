import { isAbsolute } from "node:path";
import { z } from "zod";
import { parseDuration } from "./duration.ts";
import type { ConfiguredCommand } from "./pipeline/pipeline.ts";

/** A program to be run before or after a backup. */
export type ConfiguredHook = { run: string[]; timeoutMs: number };

const defaultHookTimeout = "5m";
const defaultVerifyTimeout = "1h";
const maxTimeoutMs = 24 * 3_600_000;

const argv = z
  .array(z.string().refine((text) => !text.includes("\0"), "must not contain NUL"))
  .min(1, "must name a program")
  .max(200)
  .refine(([program]) => isAbsolute(program ?? ""), "must begin with the absolute path of a program");
const timeoutMs = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null && ms >= 1000 && ms <= maxTimeoutMs) return ms;
  context.addIssue({ code: "custom", message: "must be a duration from 1s to 24h, such as 5m" });
  return z.NEVER;
});
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "its name must be letters, digits, . _ - only");

/** The master takes no more names with a heartbeat. */
const maxNames = 200;
const named = <T extends z.ZodType>(what: T) =>
  z.record(name, what).refine((all) => Object.keys(all).length <= maxNames, `at most ${maxNames} of them`);

const commands = named(
  z
    .strictObject({
      run: argv,
      restore: argv.nullable().default(null),
      verify: argv.nullable().default(null),
      verifyTimeout: timeoutMs.prefault(defaultVerifyTimeout),
    })
    .transform(({ run, restore, verify, verifyTimeout }) => ({
      run,
      restore,
      verify: verify && { run: verify, timeoutMs: verifyTimeout },
    })),
);
const hooks = named(
  z
    .strictObject({ run: argv, timeout: timeoutMs.prefault(defaultHookTimeout) })
    .transform(({ run, timeout }) => ({ run, timeoutMs: timeout })),
);

/** `commands:` of the configuration file: `name: {run: [program, argument…], restore: […], verify: […], verifyTimeout: 1h}`. */
export const readCommands = (raw: unknown): Record<string, ConfiguredCommand> => parse(commands, raw);

/** `hooks:` of the configuration file: `name: {run: [program, argument…], timeout: 5m}`. */
export const readHooks = (raw: unknown): Record<string, ConfiguredHook> => parse(hooks, raw);

/** Names what is wrong and where, and never a value: an argument may be a secret. */
function parse<T>(schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.map(String).join(".").slice(0, 200);
  const reason =
    issue?.code === "unrecognized_keys"
      ? `has no ${issue.keys.join(", ").slice(0, 200)}`
      : issue?.code === "invalid_key"
        ? issue.issues[0]?.message
        : issue?.message;
  throw new Error(place ? `${place}: ${reason}` : `must be names with what to run: ${reason}`);
}
