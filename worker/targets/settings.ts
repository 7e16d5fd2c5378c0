import { z } from "zod";
import { objects, type states } from "../../protocol/index.ts";
import { DomainError } from "../errors.ts";

type Settings = Record<string, unknown>;

/** A target's settings checked by its type; a field that the type does not have is refused by its name. */
export const parseConfig = (type: states.TargetType, config: Settings): Settings =>
  parse(z.strictObject(objects.targetSettings[type].config.shape), config, "config");

/** The same for what is to be sealed. */
export const parseSecrets = (type: states.TargetType, secrets: Settings): Settings =>
  parse(z.strictObject(objects.targetSettings[type].secrets.shape), secrets, "secrets");

/** What is sent replaces what was there, null takes it away, what is not sent stays. */
export function mergeSettings(old: Settings, sent: Settings | undefined): Settings {
  const merged = { ...old, ...sent };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** Names the fields and never their values: those may be secrets. */
function parse(schema: z.ZodType<Settings>, value: Settings, part: string): Settings {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const field = issue.path.map(String).join(".");
    if (issue.code === "unrecognized_keys") {
      return `${part}: has no ${issue.keys.map((key) => key.slice(0, 64)).join(", ")}`;
    }
    return `${part}.${field}: ${issue.message}`;
  });
  throw new DomainError("INVALID_INPUT", problems.join("; ").slice(0, 1000));
}
