import { readdirSync, readFileSync } from "node:fs";

/** A process as Linux tells of it. Other systems have no /proc, and these benches need it. */
type Process = { pid: number; parent: number; name: string; cpuMs: number };

/** Linux counts a process's CPU time in hundredths of a second, whatever the machine. */
export const MS_PER_TICK = 10;

/** Every process below this one, however deep. */
export function descendantsOf(pid: number): Process[] {
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? readProcess(Number(name)) : []));
  const found: Process[] = [];
  for (let parents = new Set([pid]); parents.size > 0; ) {
    const children = all.filter(({ parent }) => parents.has(parent));
    found.push(...children);
    parents = new Set(children.map((child) => child.pid));
  }
  return found;
}

function readProcess(pid: number): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name stands in brackets and may hold anything, brackets too.
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    return [
      {
        pid,
        parent: Number(fields[1]),
        name: stat.slice(stat.indexOf("(") + 1, end),
        cpuMs: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK,
      },
    ];
  } catch {
    // It ended in between.
    return [];
  }
}

/** Milliseconds of CPU that all workerd processes of this bench have used so far. */
export const workerdCpuMs = (): number =>
  descendantsOf(process.pid)
    .filter(({ name }) => name === "workerd")
    .reduce((sum, { cpuMs }) => sum + cpuMs, 0);

/** A value of /proc/PID/status in MiB (VmRSS, VmHWM); null when the process has ended. */
export const statusMib = (pid: number, key: "VmRSS" | "VmHWM"): number | null =>
  kibAt(`/proc/${pid}/status`, key);

/** The share of memory that is this process's own, in MiB: what it shares counts in parts. */
export const pssMib = (pid: number): number | null => kibAt(`/proc/${pid}/smaps_rollup`, "Pss");

function kibAt(file: string, key: string): number | null {
  try {
    const kib = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(readFileSync(file, "latin1"))?.[1];
    return kib === undefined ? null : Number(kib) / 1024;
  } catch {
    return null;
  }
}
