import type { ApiError } from "../api/call.ts";

/** What the master refused, by field: its messages name each as `body.source.paths: must ...`. */
export function fieldErrors(error: ApiError | null, fields: readonly string[]): Record<string, string> {
  if (error?.code !== "INVALID_INPUT") return {};
  const found: Record<string, string> = {};
  for (const problem of withoutRequestId(error.message).split("; ")) {
    const [, path = "", reason = ""] = /^(?:body\.)?([\w.[\]]+): (.*)$/s.exec(problem) ?? [];
    const field = fields.find((name) => path === name || path.startsWith(`${name}.`));
    if (field && !(field in found)) found[field] = reason;
  }
  return found;
}

/** What stands at a field is for who fills it in; nobody looks it up in a log. */
export const withoutRequestId = (message: string): string => message.replace(/ \(request [\w-]+\)$/, "");
