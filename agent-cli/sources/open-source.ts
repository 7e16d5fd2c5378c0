import type { SourceSpec } from "../pipeline/pipeline.ts";
import { commandSource } from "./command.ts";
import { fileSource } from "./file.ts";
import { mongodbSource } from "./mongodb.ts";
import { mysqlSource } from "./mysql.ts";
import { postgresqlSource } from "./postgresql.ts";
import { saphanaSource } from "./saphana.ts";
import type { OpenedSource, Source, SourceContext, SourceExtension } from "./source.ts";
import { sqliteSource } from "./sqlite.ts";

type Type = SourceSpec["type"];

/** Every source that this agent knows, by the type that a task names; what each needs is in available.ts. */
const sources: { [T in Type]?: Source<Extract<SourceSpec, { type: T }>> } = {
  file: fileSource,
  sqlite: sqliteSource,
  postgresql: postgresqlSource,
  mysql: mysqlSource,
  command: commandSource,
  mongodb: mongodbSource,
  saphana: saphanaSource,
};

/** The source of a type. Throws in words when this agent knows none. */
export function sourceOf(type: Type): Source<SourceSpec> {
  const source = sources[type];
  if (!source) throw new Error(`this agent does not know ${type} sources: update it`);
  return source as Source<SourceSpec>;
}

export const openSource = (spec: SourceSpec, context: SourceContext): Promise<OpenedSource> =>
  sourceOf(spec.type).open(spec, context);

export const sourceExtension = (spec: SourceSpec): SourceExtension => sourceOf(spec.type).extension(spec);
