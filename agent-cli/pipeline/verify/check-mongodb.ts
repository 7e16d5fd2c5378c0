import { readDumps } from "../../sources/dump-archive.ts";
import type { ArchivedCollection, MongoArchive } from "../../sources/mongodb-archive.ts";
import { isOneArchive } from "../../sources/mongodb-session.ts";
import { readMongoArchive } from "../../sources/read-mongodb-archive.ts";
import type { SourceSpec } from "../pipeline.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import { counted } from "./counted.ts";
import { CannotCheck, type Finding, notChecked, passed, type VerifyJob } from "./finding.ts";

/** Collections that are counted one by one in a report. */
const shownCollections = 20;

/**
 * Archives of mongodump: each is parsed to its end, every document of it, and each collection compared with the checksum
 * that mongodump has written. No server is started for them, so the fourth grade cannot be reached.
 */
export function checkMongodb(job: VerifyJob, looked: Looked): ContentCheck {
  return {
    name: "dump",
    async open(content) {
      const findings: Finding[] = [];
      await readDumps(counted(content, looked), {
        suffix: "archive",
        only: isOneArchive(job.source as Extract<SourceSpec, { type: "mongodb" }>) ? "" : null,
        open: async (member) => {
          if (member.kind === "other") return null;
          looked.currentPath = member.database === "" ? null : member.database;
          return readMongoArchive((archive) => {
            looked.entries += archive.databases.size;
            findings.push(passed("dump", toldOf(archive)));
          });
        },
      });
      if (findings.length === 0) throw new CannotCheck("there is no archive of mongodump in it");
      return findings;
    },
    async restore() {
      const reason =
        "no MongoDB server is started for a verification: 3 is the highest grade for its backups";
      return [notChecked("restore", reason)];
    },
  };
}

function toldOf({ databases, collections, serverVersion }: MongoArchive): string {
  const all = [...collections.values()].toSorted((a, b) => b.documents - a.documents);
  const documents = all.reduce((sum, one) => sum + one.documents, 0);
  const from = serverVersion === "" ? "" : ` of MongoDB ${serverVersion}`;
  const names =
    databases.size === 0 ? "" : ` with ${listOf([...databases].map((name) => JSON.stringify(name)))}`;
  const what = `${all.length} collections, ${documents} documents${aboutChecksums(all)}`;
  const counts = all.map(({ name, documents: count }) => `${name} ${count}`);
  return `the archive${from}${names} was parsed to its end: ${what}${all.length === 0 ? "" : `: ${listOf(counts)}`}`;
}

function aboutChecksums(all: ArchivedCollection[]): string {
  if (all.length === 0) return "";
  const without = all.filter(({ hasChecksum }) => !hasChecksum).length;
  if (without === 0) return ", each collection with the CRC-64 that mongodump has written";
  return `, without a checksum of mongodump's in ${without} of the collections`;
}

function listOf(names: string[]): string {
  const more = names.length - shownCollections;
  return `${names.slice(0, shownCollections).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
