import { readFileSync } from "node:fs";

/**
 * Pids are given out again, after a reboot above all: this boot and the start time tell two processes apart. Null where
 * there is no /proc or no such process; one that has ended and only waits to be asked how is none.
 */
export function processIdentity(pid: number): string | null {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets, which may hold spaces; the 3rd is the state, the 22nd the start time.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : `${boot}:${fields[19]}`;
  } catch {
    return null;
  }
}

/** Whether any process has this pid now: all that can be told where there is no /proc. */
export function hasProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
