import { countMysql } from "../../sources/count-rows.ts";
import { InsertRows } from "../../sources/insert-rows.ts";
import type { MysqlServer } from "../../sources/mysql-session.ts";
import { DumpEnd } from "../../sources/sql-dump-end.ts";
import { startTemporaryMysql } from "../../sources/temporary-mysql.ts";
import { DamagedArtifact } from "../damaged.ts";
import type { SourceSpec } from "../pipeline.ts";
import { checkDumps, type DumpReading } from "./check-dumps.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import type { VerifyJob } from "./finding.ts";

type MysqlSpec = Extract<SourceSpec, { type: "mysql" }>;

/** Dumps are SQL, whose last line says that it is the last one, and which insert the rows that a server must have then. */
export function checkMysql(job: VerifyJob, looked: Looked): ContentCheck {
  const source = job.source as MysqlSpec;
  const [only, ...others] = new Set(source.databases);
  return checkDumps<MysqlServer>(job, looked, {
    suffix: "sql",
    only: only !== undefined && others.length === 0 ? only : null,
    read: async (database) => readDump(database),
    startServer: startTemporaryMysql,
    sourceOn: (server) => ({ ...source, ...server }),
    withRoles: false,
    countRows: countMysql,
  });
}

function readDump(database: string): DumpReading {
  const end = new DumpEnd();
  const rows = new InsertRows(database);
  return {
    rows: rows.counts,
    async write(bytes) {
      end.add(bytes);
      rows.add(bytes);
    },
    async end() {
      if (end.isComplete) return;
      throw new DamagedArtifact(`the dump of database ${database} is cut off before its end`);
    },
    stop: async () => {},
  };
}
