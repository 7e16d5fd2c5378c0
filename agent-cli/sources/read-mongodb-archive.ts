import { DamagedArtifact } from "../pipeline/damaged.ts";
import type { DumpSink } from "./dump-archive.ts";
import { MongoArchive } from "./mongodb-archive.ts";

/** Reads a stored archive through, documents and checksums included; `onEnd` gets it when it was whole. */
export function readMongoArchive(onEnd: (archive: MongoArchive) => void): DumpSink {
  const archive = new MongoArchive({ contents: true });
  const read = (step: () => void) => {
    try {
      step();
    } catch (error) {
      throw new DamagedArtifact((error as Error).message, { cause: error });
    }
  };
  return {
    write: async (bytes) => read(() => archive.push(bytes)),
    async end() {
      read(() => archive.finish());
      onEnd(archive);
    },
    stop: async () => {},
  };
}
