import { type ExtractOptions, Extractor } from "./extract.ts";
import { frameDecoder } from "./frame-decoder.ts";
import type { MemberPath } from "./member-path.ts";
import { Selection } from "./member-path.ts";
import type { RestoreJob } from "./pipeline.ts";
import type { Plan } from "./plan-extraction.ts";
import { SegmentReader } from "./segment-reader.ts";
import type { PlacedFrame } from "./segments.ts";
import type { WarningList } from "./warnings.ts";

/** What one of several extractors needs to know of the restore; plain data, so that it can go to another thread. */
export type ExtractionPart = {
  destination: string;
  selectedPaths: string[] | null;
  conflict: RestoreJob["conflict"];
  plan: Pick<Plan, "linkTargets" | "standIns" | "links">;
  fresh: boolean;
};

export type ExtractionTally = { entries: number; bytes: number; currentPath: string | null };

/** Writes the files of segments, one frame after the other. Directories and links are not its business. */
export class SegmentExtractor {
  readonly #extractor: Extractor;
  readonly #decode = frameDecoder();
  #reader: SegmentReader | null = null;

  constructor(part: ExtractionPart, warnings: WarningList) {
    const options: ExtractOptions = {
      destination: part.destination,
      plan: part.plan,
      selection: new Selection(part.selectedPaths),
      conflict: part.conflict,
      warnings,
      contentsOnly: true,
      fresh: part.fresh,
      expectedSum: () => this.#reader?.expectedSum() ?? null,
    };
    this.#extractor = new Extractor(options);
  }

  begin(members: Buffer): void {
    this.#reader = new SegmentReader(members, this.#extractor, this.#decode);
  }

  frame(frame: PlacedFrame, compressed: Buffer): void {
    this.#reader?.frame(frame, compressed);
  }

  end(): void {
    this.#reader?.end();
    this.#reader = null;
  }

  get tally(): ExtractionTally {
    const { entries, bytes, currentPath } = this.#extractor;
    return { entries, bytes, currentPath: currentPath?.toString() ?? null };
  }

  /** Where the content of members that others link to was put. */
  get restoredTargets(): ReadonlyMap<string, MemberPath> {
    return this.#extractor.restoredTargets;
  }

  close(): void {
    this.#extractor.close();
  }
}
