import { join } from "node:path";
import { CannotCheck } from "../pipeline/verify/finding.ts";
import { findProgram, postgresqlFolders, versionOf } from "./find-program.ts";
import { openPostgresql, type PostgresqlServer, type PostgresqlSession } from "./postgresql-session.ts";
import { accountOf, makeFiles, ServerFolder, startServer, type TemporaryServer } from "./temporary-server.ts";

/** What is lost when such a server dies is not missed. */
const settings = {
  listen_addresses: "",
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  autovacuum: "off",
  max_connections: "20",
  shared_buffers: "64MB",
};

/** A PostgreSQL server with nothing in it. Throws `CannotCheck`, in words, where none can be started. */
export async function startTemporaryPostgresql(
  workDir: string,
  signal: AbortSignal,
): Promise<TemporaryServer<PostgresqlServer>> {
  const initdb = findProgram(["initdb"], postgresqlFolders());
  const postgres = findProgram(["postgres"], postgresqlFolders());
  if (initdb === null || postgres === null)
    throw new CannotCheck("PostgreSQL's server (initdb, postgres) is not installed on this machine");
  const account = accountOf("postgres", "nobody");
  const folder = new ServerFolder(workDir, account);
  const data = join(folder.inherited, "data");
  const server: PostgresqlServer = {
    type: "postgresql",
    host: folder.here,
    port: 5432,
    user: "postgres",
    tls: { mode: "disable", caFile: null },
    maintenanceDatabase: "postgres",
  };
  try {
    const made = ["-D", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"];
    await makeFiles({ program: initdb, args: [...made, "--locale=C.UTF-8"], folder, account }, signal);
    const all = { ...settings, unix_socket_directories: folder.inherited };
    const args = ["-D", data, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
    const session = await openPostgresql(server, { secrets: { password: null }, workDir, signal });
    const running = await closing(session, () =>
      startServer({ program: postgres, args, folder, account }, signal, () => session.query("select 1;")),
    );
    const version = (await versionOf(postgres))?.replace(/^postgres \(PostgreSQL\) /, "") ?? "";
    return {
      server,
      version: `PostgreSQL ${version}`,
      async close() {
        await running.end();
        folder.close();
      },
    };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function closing<T>(session: PostgresqlSession, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await session.close();
  }
}
