import type { SourceSpec } from "../pipeline/pipeline.ts";
import { fileSource } from "./file.ts";
import type { OpenedSource, Source, SourceContext } from "./source.ts";
import { sqliteSource } from "./sqlite.ts";

/** Every source there is, by the type that a task names. */
const sources: { [Type in SourceSpec["type"]]: Source<Extract<SourceSpec, { type: Type }>> } = {
  file: fileSource,
  sqlite: sqliteSource,
};

const sourceFor = (spec: SourceSpec): Source<SourceSpec> => sources[spec.type] as Source<SourceSpec>;

export const openSource = (spec: SourceSpec, context: SourceContext): Promise<OpenedSource> =>
  sourceFor(spec).open(spec, context);

export const sourceExtension = (spec: SourceSpec): "tar" | "sqlite" => sourceFor(spec).extension(spec);
