import { CopyRows } from "../../sources/copy-rows.ts";
import { countPostgresql } from "../../sources/count-rows.ts";
import { findProgram, postgresqlFolders } from "../../sources/find-program.ts";
import type { PostgresqlServer } from "../../sources/postgresql-session.ts";
import { startFilter } from "../../sources/program.ts";
import { startTemporaryPostgresql } from "../../sources/temporary-postgresql.ts";
import type { SourceSpec } from "../pipeline.ts";
import { checkDumps, type DumpReading } from "./check-dumps.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import { CannotCheck, type VerifyJob } from "./finding.ts";

type PostgresqlSpec = Extract<SourceSpec, { type: "postgresql" }>;

/** Each dump is unpacked by pg_restore; how many rows of each table come out is what a server must have of it. */
export function checkPostgresql(job: VerifyJob, looked: Looked): ContentCheck {
  const source = job.source as PostgresqlSpec;
  const [only, ...others] = new Set(source.databases);
  return checkDumps<PostgresqlServer>(job, looked, {
    suffix: "dump",
    only: only !== undefined && others.length === 0 && !source.globals ? only : null,
    read: async (database) => readDump(database, job.signal),
    startServer: startTemporaryPostgresql,
    sourceOn: (server) => ({ ...source, ...server }),
    withRoles: source.globals,
    countRows: countPostgresql,
  });
}

function readDump(database: string, signal: AbortSignal): DumpReading {
  const program = findProgram(["pg_restore"], postgresqlFolders());
  if (program === null)
    throw new CannotCheck("pg_restore, which reads the dump, is not installed on this machine");
  const env = { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" };
  const args = ["--data-only", "--file=-"];
  const filter = startFilter({ program, args, env, secrets: [], signal });
  const rows = new CopyRows(database);
  const reading = (async () => {
    for await (const chunk of filter.output) rows.add(chunk as Buffer);
  })();
  // A program that fails is told by its end.
  reading.catch(() => {});
  return {
    rows: rows.counts,
    write: (bytes) => filter.write(bytes),
    async end() {
      await filter.end();
      await reading;
    },
    stop: () => filter.stop(),
  };
}
