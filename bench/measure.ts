import { spawn } from "node:child_process";
import { descendantsOf, statusMib } from "./processes.ts";

/** What one run cost: seconds by the clock, seconds of all its processes' CPU, and the peak of the largest process. */
export type Cost = { wallS: number; cpuS: number; peakMib: number };

/**
 * Runs a script in bash and waits for it. CPU is what the kernel has booked for every process that ended below it;
 * the peak is the highest VmHWM of any one of them, looked at ten times a second.
 */
export async function measure(script: string, env: Record<string, string> = {}): Promise<Cost> {
  const timed = `set -o pipefail; TIMEFORMAT='%R %U %S'; { time { ${script}\n} 2>&4; } 2>&3`;
  const child = spawn("bash", ["-c", timed], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
  });
  const [times, messages] = [collected(child.stdio[3]), collected(child.stdio[4])];
  let peakMib = 0;
  const sampler = setInterval(() => {
    for (const { pid } of descendantsOf(child.pid ?? 0))
      peakMib = Math.max(peakMib, statusMib(pid, "VmHWM") ?? 0);
  }, 100);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  }).finally(() => clearInterval(sampler));
  if (code !== 0) throw new Error(`${script}\nended with ${code}: ${messages.text.slice(-2000)}`);
  const [wallS = Number.NaN, user = Number.NaN, system = Number.NaN] = times.text
    .trim()
    .split(" ")
    .map(Number);
  return { wallS, cpuS: user + system, peakMib };
}

function collected(stream: unknown): { text: string } {
  const kept = { text: "" };
  (stream as NodeJS.ReadableStream).setEncoding("utf8").on("data", (text: string) => {
    kept.text = (kept.text + text).slice(-10_000);
  });
  return kept;
}
