/**
 * A second backup of a tree in which nothing has changed, or a hundredth of the files: our differential run as the agent
 * makes it, process and all, against `tar --listed-incremental` and restic (Debian's is of 2022), in turns.
 *
 *     node bench/differential.ts [--rounds 5] [--tree small,usr] [--change none,some] [--quick]
 *         [--against tar,restic] [--at DIRECTORY] [--json]
 *
 * Trees, what is made of them and restic's cache lie below DIRECTORY, or in /dev/shm where there is one: all are read
 * from memory. Trees that are there already are used as they are.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { TaskSpec } from "../agent-cli/jobs/job.ts";
import { jobArguments, mallocFor } from "../agent-cli/jobs/job-process.ts";
import type { IndexPlace } from "../agent-cli/pipeline/archive-index.ts";
import { objects } from "../protocol/index.ts";
import { agentFile, buildAgent } from "./built-agent.ts";
import { type Cost, measure } from "./measure.ts";
import { MS_PER_TICK, statusMib } from "./processes.ts";
import { machine, median, roundsOf, table } from "./statistics.ts";
import { type TreeName, trees } from "./trees.ts";

const JOB = agentFile("dist/job.js");
/** Younger files are read again, for the clock that stamps them ticks slowly. */
const DOUBT_MS = 2_500;

type Place = { folder: string; tree: string };
type Made = {
  result: { sha256: string; sizeBytes: number; key: string; fileName: string; archiveIndex: IndexPlace };
};
type Costs = Record<string, Cost[]>;
type Runner = { prepare(): Promise<void>; again(round: number): Promise<Cost> };

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    tree: { type: "string", default: "small,usr" },
    change: { type: "string", default: "none,some" },
    against: { type: "string", default: "tar,restic" },
    at: { type: "string" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 1 : roundsOf(values.rounds);
buildAgent();
const fast = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "differential-"));
try {
  const all: { tree: string; change: string; costs: Costs }[] = [];
  for (const name of values.tree.split(",") as TreeName[]) {
    const tree = await treeOf(name);
    for (const change of values.change.split(",")) {
      const costs = await compete({ folder: fast, tree }, change);
      all.push({ tree: name, change, costs });
      if (!values.json) console.log(`${name}, ${change} changed: ${machine()}\n\n${shown(costs)}\n`);
    }
  }
  if (values.json) console.log(JSON.stringify({ machine: machine(), all }, null, 2));
} finally {
  rmSync(fast, { recursive: true, force: true });
}

async function treeOf(name: TreeName): Promise<string> {
  const root = values.at ?? fast;
  const there = join(root, name);
  if (existsSync(there)) return there;
  const made = trees[name](root);
  await delay(DOUBT_MS);
  return made;
}

async function compete(place: Place, change: string): Promise<Costs> {
  const folder = mkdtempSync(join(place.folder, "run-"));
  const inTurns = Object.entries(runners({ folder, tree: place.tree }));
  try {
    for (const [, { prepare }] of inTurns) await prepare();
    if (change === "some") touch(place.tree);
    const costs: Costs = {};
    for (let round = 1; round <= rounds; round += 1) {
      for (const [who, { again }] of inTurns) {
        costs[who] ??= [];
        costs[who].push(await again(round));
      }
      // Each goes first in turn: what the machine does meanwhile shall favour nobody.
      inTurns.push(...inTurns.splice(0, 1));
    }
    return costs;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runners({ folder, tree }: Place): Record<string, Runner> {
  const asked = values.against.split(",");
  const list = join(folder, "list");
  const env = {
    TREE: tree,
    PARENT: dirname(tree),
    NAME: basename(tree),
    OUT: folder,
    LIST: list,
    RESTIC_PASSWORD: "bench",
    RESTIC_CACHE_DIR: join(folder, "cache"),
  };
  const tar: Runner = {
    async prepare() {
      await measure('tar -C "$PARENT" -g "$LIST" -cf /dev/null "$NAME"', env);
    },
    again() {
      // Each time against the same list, as a differential run is against the same full one.
      copyFileSync(list, `${list}.now`);
      return measure('tar -C "$PARENT" -g "$LIST.now" -cf - "$NAME" > "$OUT/b.tar"', env);
    },
  };
  const restic: Runner = {
    async prepare() {
      await measure('restic -q -r "$OUT/restic" init && restic -q -r "$OUT/restic" backup "$TREE"', env);
    },
    again: () => measure('restic -q -r "$OUT/restic" backup "$TREE"', env),
  };
  return {
    ours: ours({ folder, tree }),
    ...(asked.includes("tar") && { "tar -g": tar }),
    ...(asked.includes("restic") && { restic }),
  };
}

function ours(place: Place): Runner {
  let base: Made | null = null;
  return {
    async prepare() {
      base = (await backUp(place, 1, null)).made;
    },
    again: async (round) => (await backUp(place, 1 + round, base)).cost,
  };
}

/** One backup by the agent's own job process, from its start to its end. */
async function backUp(
  place: Place,
  recordId: number,
  base: Made | null,
): Promise<{ made: Made; cost: Cost }> {
  const workDir = mkdtempSync(join(place.folder, "work-"));
  const cpuBefore = childrenCpuS();
  const startedAt = performance.now();
  const child = fork(JOB, [], {
    env: { ...mallocFor("backup"), ...process.env },
    execArgv: jobArguments,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  let made: Made | null = null;
  let failure = "the job said nothing";
  child.on(
    "message",
    (message: { type: string; message?: string; level?: string; text?: string } & Partial<Made>) => {
      if (message.type === "done") made = message as Made;
      if (message.type === "failed") failure = message.message ?? "";
      if (message.type === "log" && message.level !== "info") console.error(message.text);
    },
  );
  let peakMib = 0;
  const sampler = setInterval(() => {
    peakMib = Math.max(peakMib, statusMib(child.pid ?? 0, "VmHWM") ?? 0);
  }, 20);
  child.send(envelope(place, workDir, recordId, base));
  await once(child, "close").finally(() => clearInterval(sampler));
  const wallS = (performance.now() - startedAt) / 1000;
  rmSync(workDir, { recursive: true });
  if (!made) throw new Error(failure);
  return { made, cost: { wallS, cpuS: childrenCpuS() - cpuBefore, peakMib } };
}

/** Seconds of CPU that the kernel has booked for this process's children which have ended. */
function childrenCpuS(): number {
  const stat = readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[13]) + Number(fields[14])) * MS_PER_TICK) / 1000;
}

/** As much of a task as the job of a file backup looks at. */
type SpecInUse = Pick<
  TaskSpec,
  "taskId" | "source" | "sourceSecrets" | "pipeline" | "fileNameStem" | "objectPrefix" | "targets" | "base"
>;

function envelope({ folder, tree }: Place, workDir: string, recordId: number, base: Made | null) {
  const store = join(folder, "store");
  mkdirSync(store, { recursive: true });
  const target = {
    id: 1,
    type: "local_disk",
    name: "store",
    config: { path: store },
    transferMode: "direct" as const,
    bandwidthBytesPerSecond: null,
  };
  const spec: SpecInUse = {
    taskId: 1,
    source: { type: "file", paths: [tree], excludes: [], oneFileSystem: false },
    sourceSecrets: { password: null, resticPassword: null },
    pipeline: objects.pipeline.parse({ differential: { fullEveryDays: 7 } }),
    fileNameStem: `bench-r${recordId}`,
    objectPrefix: `BackupX/file/260101/records/${recordId}/`,
    targets: [{ ...target, quotaRemainingBytes: null }],
    base: base && {
      recordId: 1,
      fileName: base.result.fileName,
      sizeBytes: base.result.sizeBytes,
      checksum: base.result.sha256,
      archiveIndex: base.result.archiveIndex,
      copies: [{ targetId: 1, storagePath: base.result.key }],
    },
  };
  return {
    job: { kind: "backup", recordId, spec },
    workDir,
    stateDir: join(folder, "state"),
    ownPaths: [],
    identityFile: null,
    commands: {},
    master: "http://127.0.0.1:1",
    token: "",
    network: { proxyUrl: null, caCertFile: null, insecureTls: false },
  };
}

/** Adds to every hundredth file. */
function touch(tree: string): void {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const [i, { parentPath, name }] of files.entries()) {
    if (i % 100 === 0) appendFileSync(join(parentPath, name), "one line more\n");
  }
}

function shown(costs: Costs): string {
  const rows = Object.entries(costs).map(([who, all]) => {
    const ratio = (of: (cost: Cost) => number) => {
      const ratios = all.map((cost, i) => of(costs.ours?.[i] as Cost) / of(cost));
      return who === "ours" ? "" : median(ratios).toFixed(2);
    };
    const walls = all.map(({ wallS }) => wallS);
    return [
      who,
      median(walls).toFixed(2),
      `${Math.min(...walls).toFixed(2)}–${Math.max(...walls).toFixed(2)}`,
      median(all.map(({ cpuS }) => cpuS)).toFixed(2),
      Math.round(Math.max(...all.map(({ peakMib }) => peakMib))),
      ratio(({ wallS }) => wallS),
      ratio(({ cpuS }) => cpuS),
    ];
  });
  const head = ["", "seconds, median", "spread", "CPU seconds", "peak MiB", "ours / this", "CPU"];
  return table([head, ...rows]);
}
