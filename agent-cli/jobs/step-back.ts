import { execFile } from "node:child_process";
import { setPriority } from "node:os";
import { promisify } from "node:util";
import { findProgram } from "../sources/find-program.ts";

type Place = { nice: number | null; ioClass: "best-effort" | "idle" | null };

/** The classes as ionice(1) counts them; the lowest level of the class that all have anyway. */
const ioniceArguments = { "best-effort": ["-c", "2", "-n", "7"], idle: ["-c", "3"] };

/**
 * Lets others have the processor and the disk first. It holds for this process, the threads and programs that it starts
 * from now on. What this machine does not allow or have is told, and the job goes on as it is.
 */
export async function stepBack({ nice, ioClass }: Place, warn: (reason: string) => void): Promise<void> {
  try {
    if (nice !== null) setPriority(nice);
  } catch (error) {
    warn(`nice ${nice} is not possible here: ${reasonOf(error)}`);
  }
  if (ioClass !== null) await setIoClass(ioClass).catch((error) => warn(reasonOf(error)));
}

async function setIoClass(ioClass: keyof typeof ioniceArguments): Promise<void> {
  const program = findProgram(["ionice"]);
  if (!program) throw new Error(`I/O class ${ioClass} is not possible here: there is no program ionice`);
  const args = [...ioniceArguments[ioClass], "-p", String(process.pid)];
  await promisify(execFile)(program, args, { timeout: 10_000 }).catch((error) => {
    throw new Error(
      `I/O class ${ioClass} is not possible here: ${String(error.stderr || error.message).trim()}`,
    );
  });
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
