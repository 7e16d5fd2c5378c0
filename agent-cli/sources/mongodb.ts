import type { SourceSpec } from "../pipeline/pipeline.ts";
import { choose, previewOf } from "./choose-databases.ts";
import { closeAfter } from "./close-after.ts";
import { DumpArchive, memberOf } from "./dump-archive.ts";
import { wholeArchive } from "./mongodb-archive.ts";
import { isOneArchive, isWhole, type MongodbSession, openMongodb } from "./mongodb-session.ts";
import { outputOf } from "./program.ts";
import { dropUnfinishedMongodb, restoreMongodb } from "./restore-mongodb.ts";
import { newTally, type Source, type SourceContext, type Tally } from "./source.ts";

type MongodbSpec = Extract<SourceSpec, { type: "mongodb" }>;

/**
 * The databases of a MongoDB server as mongodump's archives. One database, or all of them together, is one archive;
 * some of them are a tar of an archive for each.
 */
export const mongodbSource: Source<MongodbSpec> = {
  extension: (spec) => (isOneArchive(spec) ? "archive" : "tar"),

  async open(spec, context) {
    if (spec.oplog && !isWhole(spec)) throw new Error("the oplog can only be stored with all databases");
    const session = await openMongodb(spec, context);
    try {
      const tally = newTally();
      const bytes = isOneArchive(spec)
        ? dump(session, isWhole(spec) ? null : (spec.databases[0] ?? null), spec, tally)
        : archive(session, await wanted(session, spec), spec, context, tally);
      return { bytes: closeAfter(bytes, session), tally };
    } catch (error) {
      await session.close();
      throw error;
    }
  },

  async preview(spec, access) {
    const session = await openMongodb(spec, access);
    try {
      const found = await listOrTell(session);
      return previewOf(choose(spec, found), found, spec);
    } finally {
      await session.close();
    }
  },

  async discover(server, access) {
    const session = await openMongodb(server, access);
    try {
      return await listOrTell(session);
    } finally {
      await session.close();
    }
  },

  restore: restoreMongodb,
  dropUnfinished: dropUnfinishedMongodb,
};

async function wanted(session: MongodbSession, spec: MongodbSpec): Promise<string[]> {
  const found = await session.list();
  if (found !== null) return choose(spec, found);
  if (spec.databases.length > 0)
    return choose(
      spec,
      spec.databases.map((name) => ({ name })),
    );
  throw new Error(cannotList);
}

const cannotList =
  "the databases of the server cannot be listed: install mongosh on this machine, or name them";

async function listOrTell(session: MongodbSession) {
  const found = await session.list();
  if (found === null) throw new Error(cannotList);
  return found;
}

async function* archive(
  session: MongodbSession,
  databases: string[],
  spec: MongodbSpec,
  context: SourceContext,
  tally: Tally,
): AsyncGenerator<Buffer> {
  const members = new DumpArchive(context.slabs);
  for (const name of databases)
    yield* members.add(memberOf(name, "archive"), dump(session, name, spec, tally));
  yield* members.finish();
}

async function* dump(
  session: MongodbSession,
  database: string | null,
  { oplog }: MongodbSpec,
  tally: Tally,
): AsyncGenerator<Buffer> {
  tally.currentPath = database ?? "all databases";
  const args = [
    "--archive",
    ...(database === null ? [] : [`--db=${database}`]),
    ...(oplog ? ["--oplog"] : []),
  ];
  const what = database === null ? "all databases" : `database ${database}`;
  for await (const chunk of wholeArchive(outputOf(session.run("mongodump", args)), what)) {
    tally.sourceBytes += chunk.length;
    yield chunk;
  }
  tally.entries += 1;
}
