import type { Warning } from "./pipeline.ts";

const keptWarnings = 200;

/** Who is told of what went differently from what was asked. */
export type Warned = { add(path: string | Buffer, reason: string): void };

/** Warnings of one run: the first few are kept in words, the rest only counted, so that a bad disk cannot fill memory. */
export class WarningList implements Warned {
  readonly kept: Warning[] = [];
  count = 0;
  readonly #onWarning: (warning: Warning) => void;

  constructor(onWarning: (warning: Warning) => void = () => {}) {
    this.#onWarning = onWarning;
  }

  add(path: string | Buffer, reason: string): void {
    this.count += 1;
    if (this.kept.length >= keptWarnings) return;
    const warning = { path: path.toString(), reason };
    this.kept.push(warning);
    this.#onWarning(warning);
  }
}
