import { z } from "zod";
import { DomainError } from "../errors.ts";

type Settings = Record<string, unknown>;

/**
 * Settings whose schema depends on another field, checked by it; a field that it does not have is refused by its name.
 * Names fields and never their values: those may be secrets.
 */
export function parseSettings(schema: z.ZodObject, value: Settings, part: string): Settings {
  const parsed = z.strictObject(schema.shape).safeParse(value);
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
