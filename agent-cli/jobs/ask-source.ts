import type { DatabasePlace, SourceSpec } from "../pipeline/pipeline.ts";
import { toolsFor } from "../sources/available.ts";
import { sourceOf } from "../sources/open-source.ts";
import type { Access, FoundDatabase, Preview, Tools } from "../sources/source.ts";

/** Somebody waits, and the master gives up after 15 seconds. */
const discoverMs = 12_000;
/** For what is told as far as it was found. */
const searchMs = 10_000;
const maxDatabases = 5_000;

export type Discovered = { databases: string[]; found: FoundDatabase[]; complete: boolean };
export type PreviewedSource = Preview & { tools: Tools };

/** The databases of a server or a directory: their names as every agent answers, and what else is known of them. */
export async function discover(
  place: DatabasePlace,
  access: Access & { ownPaths: readonly string[] },
): Promise<Discovered> {
  await requireTools(place.type);
  const source = sourceOf(place.type);
  if (!source.discover) throw new Error(`this agent cannot list databases of ${place.type}`);
  const limit = AbortSignal.timeout(place.type === "sqlite" ? searchMs : discoverMs);
  const signal = AbortSignal.any([access.signal, limit]);
  const found = await source.discover(place, { ...access, signal }).catch((error) => {
    throw limit.aborted ? new Error(`the server did not answer within ${discoverMs / 1000} seconds`) : error;
  });
  const shown = found.slice(0, maxDatabases);
  const complete = !limit.aborted && shown.length === found.length;
  return { databases: shown.map(({ name }) => name), found: shown, complete };
}

/** What a backup of a source would read: as much of it as can be told before whoever asked gives up. */
export async function preview(
  source: SourceSpec,
  access: Access & { ownPaths: readonly string[] },
): Promise<PreviewedSource> {
  const tools = await requireTools(source.type);
  const signal = AbortSignal.any([access.signal, AbortSignal.timeout(searchMs)]);
  return { ...(await sourceOf(source.type).preview(source, { ...access, signal })), tools };
}

async function requireTools(type: SourceSpec["type"]): Promise<Tools> {
  const tools = await toolsFor(type);
  if (tools === null) throw new Error(`this machine has not the programs that ${type} sources need`);
  return tools;
}
