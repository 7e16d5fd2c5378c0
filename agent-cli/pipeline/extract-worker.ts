import { parentPort } from "node:worker_threads";
import { DamagedArtifact } from "./damaged.ts";
import type { FromExtractor, ToExtractor } from "./extraction-lane.ts";
import { SegmentExtractor } from "./segment-extractor.ts";
import { WarningList } from "./warnings.ts";

/** A thread that writes the files of segments. After an error it only waits to be closed. */
if (parentPort) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  const say = (message: FromExtractor, given: ArrayBuffer[] = []) => port.postMessage(message, given);
  const warnings = new WarningList((warning) => say({ type: "warning", warning }));
  let extractor: SegmentExtractor | null = null;
  let failed = false;
  port.on("message", (message: ToExtractor) => {
    try {
      if (message.type === "close") {
        extractor?.close();
        port.close();
      } else if (message.type === "prepare") extractor = new SegmentExtractor(message.part, warnings);
      else if (extractor && !failed) perform(extractor, message, say);
    } catch (error) {
      failed = true;
      const reason = error instanceof Error ? error.message : String(error);
      say({ type: "failed", message: reason, damaged: error instanceof DamagedArtifact });
    }
  });
}

function perform(
  extractor: SegmentExtractor,
  message: Exclude<ToExtractor, { type: "close" | "prepare" }>,
  say: (message: FromExtractor, given?: ArrayBuffer[]) => void,
): void {
  switch (message.type) {
    case "begin":
      extractor.begin(asBuffer(message.members));
      return;
    case "frame":
      extractor.frame(message.frame, asBuffer(message.compressed));
      say({ type: "written", tally: extractor.tally, room: message.compressed.buffer }, [
        message.compressed.buffer,
      ]);
      return;
    case "end":
      extractor.end();
      return;
    case "finish": {
      const restoredTargets = [...extractor.restoredTargets].map(([key, path]) => ({ key, path }));
      say({ type: "finished", tally: extractor.tally, restoredTargets });
    }
  }
}

const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
