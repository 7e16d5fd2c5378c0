import { parentPort, workerData } from "node:worker_threads";
import type { CompareOptions, CompareSettings } from "../sources/compare-segment.ts";
import type { Answer, Ask, Requests } from "./pack-requests.ts";

/**
 * The entry of a packing thread: it compares, seals or reads ahead. What each of these needs is loaded when it is first asked
 * for, which saves 2 MiB in each of the threads that only read.
 */

const settings = workerData as CompareSettings | null;

parentPort?.on("message", (asked: Ask) => {
  const moved: ArrayBuffer[] = [];
  void answerTo(asked, moved).then((answer) => parentPort?.postMessage(answer, moved));
});

async function answerTo(asked: Ask, moved: ArrayBuffer[]): Promise<Answer> {
  const { id } = asked;
  try {
    return { id, answer: await perform(asked, moved) };
  } catch (error) {
    moved.length = 0;
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Does what is asked. What is pushed to `moved` is handed over with the answer. */
async function perform(asked: Ask, moved: ArrayBuffer[]): Promise<Requests[keyof Requests]["answer"]> {
  switch (asked.kind) {
    case "compare":
      return compare(asked.ask, moved);
    case "seal":
      return seal(asked.ask, moved);
    case "readAhead": {
      const { touchFiles } = await import("../sources/touch-files.ts");
      touchFiles(asked.ask.paths);
      return null;
    }
  }
}

let comparing: CompareOptions | null = null;

async function compare(segment: Requests["compare"]["ask"], moved: ArrayBuffer[]) {
  const { compareOptions, compareSegment } = await import("../sources/compare-segment.ts");
  comparing ??= compareOptions(settings ?? { roots: [], incomplete: [] });
  const compared = compareSegment(segment, comparing);
  moved.push(compared.verdicts.buffer as ArrayBuffer);
  return compared;
}

async function seal(run: Requests["seal"]["ask"], moved: ArrayBuffer[]) {
  const { sealAndRelease } = await import("./age-payload.ts");
  const sealed = sealAndRelease(run);
  moved.push(sealed.buffer as ArrayBuffer);
  return { sealed };
}
