import { compression as compressions, sourceType as sourceTypes } from "../../protocol/states.ts";
import type { Compression, SourceSpec } from "../pipeline/pipeline.ts";

/** The parts of a restore's spec that this agent must know, or a clear refusal. */
export function restorable({ type, compression }: { type: string; compression: string }): {
  sourceType: SourceSpec["type"];
  compression: Compression;
} {
  const sourceType = sourceTypes.safeParse(type);
  if (!sourceType.success)
    throw new Error(`this agent cannot restore backups of type ${JSON.stringify(type)}`);
  const method = compressions.safeParse(compression || "none");
  if (!method.success)
    throw new Error(`this agent does not know the compression ${JSON.stringify(compression)}`);
  return { sourceType: sourceType.data, compression: method.data };
}
