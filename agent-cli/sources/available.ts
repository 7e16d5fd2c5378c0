import type { SourceSpec } from "../pipeline/pipeline.ts";
import { mongodbTools } from "./mongodb-session.ts";
import { mysqlTools } from "./mysql-session.ts";
import { postgresqlTools } from "./postgresql-session.ts";
import { saphanaTools } from "./saphana-session.ts";
import type { Tools } from "./source.ts";

/**
 * What each source needs of this machine: programs with their versions, or null when something is missing. Apart from
 * the sources themselves, which are loaded only by the process of a job.
 */
const needs: { [Type in SourceSpec["type"]]?: () => Promise<Tools | null> } = {
  file: async () => ({}),
  sqlite: async () => (process.versions.sqlite ? { sqlite: process.versions.sqlite } : null),
  postgresql: postgresqlTools,
  mysql: mysqlTools,
  command: async () => ({}),
  mongodb: mongodbTools,
  saphana: saphanaTools,
};

/** The programs that a source of this type would be read with; null when it cannot be read here. */
export const toolsFor = async (type: SourceSpec["type"]): Promise<Tools | null> =>
  (await needs[type]?.()) ?? null;

/** What this machine can back up now, and the programs that it would do it with. */
export async function availableSources(): Promise<{ sources: string[]; tools: Tools }> {
  const types = Object.keys(needs) as SourceSpec["type"][];
  const found = await Promise.all(types.map(toolsFor));
  return {
    sources: types.filter((_type, index) => found[index] !== null),
    tools: Object.assign({}, ...found),
  };
}
