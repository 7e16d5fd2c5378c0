import type { SourceSpec } from "../pipeline.ts";
import { checkArchive } from "./check-archive.ts";
import { checkMongodb } from "./check-mongodb.ts";
import { checkMysql } from "./check-mysql.ts";
import { checkPostgresql } from "./check-postgresql.ts";
import { checkSqlite } from "./check-sqlite.ts";
import type { ContentCheck, Looked, NewContentCheck } from "./content-check.ts";
import { CannotCheck, type VerifyJob } from "./finding.ts";

/** Every kind of content that can be looked into, by the type of its source. */
const checks: Partial<Record<SourceSpec["type"], NewContentCheck>> = {
  file: checkArchive,
  sqlite: checkSqlite,
  postgresql: checkPostgresql,
  mysql: checkMysql,
  mongodb: checkMongodb,
};

export function checkOf(job: VerifyJob, looked: Looked): ContentCheck {
  const make = checks[job.source.type];
  if (make) return make(job, looked);
  const unknown = async () => {
    throw new CannotCheck(`this agent cannot look into backups of type ${job.source.type}`);
  };
  return { name: "content", open: unknown, restore: unknown };
}
