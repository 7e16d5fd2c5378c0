import type { Progress, Reporter } from "./pipeline.ts";

const intervalMs = 500;

/** Reports how things stand twice a second while they move, and once more when stopped. */
export function reportEvery(report: Reporter, current: () => Progress): { stop(): void } {
  let last = "";
  const tell = () => {
    const progress = current();
    const text = JSON.stringify(progress);
    if (text === last) return;
    last = text;
    report.progress(progress);
  };
  const timer = setInterval(tell, intervalMs);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      tell();
    },
  };
}
