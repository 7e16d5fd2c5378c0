import type { RestoreJob, SourceSpec } from "../../agent-cli/pipeline/pipeline.ts";
import type { DatabaseServer } from "../fakes/database-servers.ts";

type Spec<Type extends SourceSpec["type"]> = Extract<SourceSpec, { type: Type }>;

export const postgresqlOf = (
  server: DatabaseServer,
  change: Partial<Spec<"postgresql">> = {},
): Spec<"postgresql"> => ({
  type: "postgresql",
  ...commonOf(server),
  maintenanceDatabase: "postgres",
  globals: true,
  excludeTables: [],
  excludeTableData: [],
  ...change,
});

export const mysqlOf = (server: DatabaseServer, change: Partial<Spec<"mysql">> = {}): Spec<"mysql"> => ({
  type: "mysql",
  ...commonOf(server),
  singleTransaction: true,
  excludeTables: [],
  ...change,
});

const commonOf = ({ port, user }: DatabaseServer) => ({
  host: "127.0.0.1",
  port,
  user,
  tls: { mode: "prefer" as const, caFile: null },
  databases: [],
  excludeDatabases: [],
});

/** A restore of a backup of `source`, to the server that it came from. */
export const restoreOf = (
  source: SourceSpec,
  password: string,
  options: Partial<RestoreJob["options"]> = {},
): Partial<RestoreJob> => ({
  sourceType: source.type,
  source,
  sourceSecrets: { password },
  destination: null,
  options: { databases: null, renameDatabases: {}, owners: true, roles: false, ...options },
});
