import type { SourceSpec } from "../pipeline.ts";
import { checkArchive } from "./check-archive.ts";
import { checkCommand } from "./check-command.ts";
import { checkMongodb } from "./check-mongodb.ts";
import { checkMysql } from "./check-mysql.ts";
import { checkPostgresql } from "./check-postgresql.ts";
import { checkSaphana } from "./check-saphana.ts";
import { checkSqlite } from "./check-sqlite.ts";
import type { ContentCheck, Looked, NewContentCheck } from "./content-check.ts";
import type { VerifyJob } from "./finding.ts";

/** How each kind of content is looked into, by the type of its source. */
const checks: Record<SourceSpec["type"], NewContentCheck> = {
  file: checkArchive,
  sqlite: checkSqlite,
  postgresql: checkPostgresql,
  mysql: checkMysql,
  mongodb: checkMongodb,
  saphana: checkSaphana,
  command: checkCommand,
};

export const checkOf = (job: VerifyJob, looked: Looked): ContentCheck => checks[job.source.type](job, looked);
