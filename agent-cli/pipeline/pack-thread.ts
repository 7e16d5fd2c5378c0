import { parentPort, workerData } from "node:worker_threads";
import {
  type ComparedSegment,
  type CompareOptions,
  type CompareSettings,
  compareOptions,
  compareSegment,
} from "../sources/compare-segment.ts";
import { touchFiles } from "../sources/touch-files.ts";
import { sealRun } from "./age-payload.ts";
import { release } from "./own-memory.ts";
import type { Answer, Ask, Requests } from "./pack-requests.ts";

/** The entry of a packing thread: it compares, seals and reads ahead, one request after the other. */

const settings = workerData as CompareSettings | null;

parentPort?.on("message", (asked: Ask) => {
  const moved: ArrayBuffer[] = [];
  parentPort?.postMessage(answerTo(asked, moved), moved);
});

function answerTo(asked: Ask, moved: ArrayBuffer[]): Answer {
  const { id } = asked;
  try {
    return { id, answer: perform(asked, moved) };
  } catch (error) {
    moved.length = 0;
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Does what is asked. What is pushed to `moved` is handed over with the answer. */
function perform(asked: Ask, moved: ArrayBuffer[]): Requests[keyof Requests]["answer"] {
  switch (asked.kind) {
    case "compare":
      return compare(asked.ask, moved);
    case "seal": {
      const sealed = sealRun(asked.ask);
      release(asked.ask.tail);
      release(asked.ask.bytes);
      moved.push(sealed.buffer as ArrayBuffer);
      return { sealed };
    }
    case "readAhead":
      touchFiles(asked.ask.paths);
      return null;
  }
}

let comparing: CompareOptions | null = null;

function compare(segment: Requests["compare"]["ask"], moved: ArrayBuffer[]): ComparedSegment {
  comparing ??= compareOptions(settings ?? { roots: [], incomplete: [] });
  const compared = compareSegment(segment, comparing);
  moved.push(compared.verdicts.buffer as ArrayBuffer);
  return compared;
}
