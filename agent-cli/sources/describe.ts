import type { SourceSpec } from "../pipeline/pipeline.ts";

/** What a run's log says that it reads. */
export function describeSource(source: SourceSpec): string {
  if (source.type === "file" || source.type === "sqlite") return source.paths.join(", ");
  if (source.type === "command") return `the output of the command ${source.name}`;
  const { type, host, port, databases } = source;
  const place = host.startsWith("/") || port === null ? host : `${host}:${port}`;
  return `${type} at ${place}, ${databases.length > 0 ? databases.join(", ") : "all databases"}`;
}
