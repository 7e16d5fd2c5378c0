/**
 * A second backup of a tree in which nothing has changed, or a hundredth of the files: our differential run as the agent
 * makes it, process and all, against `tar --listed-incremental` and restic (Debian's is of 2022), in turns.
 *
 *     npm run build && node bench/differential.ts [--rounds 5] [--tree small|usr] [--json] [--quick]
 *
 * What is read comes from the page cache; what is written goes to /dev/shm.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
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
import { objects } from "../protocol/index.ts";
import { measure } from "./measure.ts";
import { machine, median, table } from "./statistics.ts";
import { type TreeName, trees } from "./trees.ts";

const JOB = join(import.meta.dirname, "../agent-cli/dist/job.js");
/** Younger files are read again, for the clock that stamps them ticks slowly. */
const DOUBT_MS = 2_500;

type Cost = { wallS: number; cpuS: number };
type Place = { folder: string; tree: string };
type Made = {
  result: { sha256: string; sizeBytes: number; key: string; fileName: string; archiveIndex: object };
};

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    tree: { type: "string", default: "small" },
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
});
if (!existsSync(JOB)) throw new Error("run npm run build first");
const disk = mkdtempSync(join(tmpdir(), "differential-tree-"));
const fast = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "differential-"));
try {
  const tree = trees[values.tree as TreeName](disk);
  await delay(DOUBT_MS);
  const place = { folder: fast, tree };
  const unchanged = await compete(place, () => {});
  const some = await compete(place, () => touch(tree));
  if (values.json) console.log(JSON.stringify({ machine: machine(), unchanged, some }, null, 2));
  else
    console.log(
      `${values.tree}: ${machine()}\n\nunchanged\n${shown(unchanged)}\n\na hundredth changed\n${shown(some)}`,
    );
} finally {
  rmSync(disk, { recursive: true, force: true });
  rmSync(fast, { recursive: true, force: true });
}

type Costs = Record<"ours" | "tar -g" | "restic", Cost[]>;

async function compete({ folder, tree }: Place, change: () => void): Promise<Costs> {
  const costs: Costs = { ours: [], "tar -g": [], restic: [] };
  const own = mkdtempSync(join(folder, "own-"));
  const full = await backUp({ folder: own, tree }, 1, null);
  const env = {
    TREE: tree,
    PARENT: dirname(tree),
    NAME: basename(tree),
    OUT: mkdtempSync(join(folder, "peers-")),
    RESTIC_PASSWORD: "bench",
  };
  const run = (script: string) => measure(script, env);
  await run('tar -C "$PARENT" -g "$OUT/list" -cf /dev/null "$NAME"');
  await run('restic -q -r "$OUT/restic" init && restic -q -r "$OUT/restic" backup "$TREE"');
  change();
  const rounds = values.quick ? 1 : Number(values.rounds);
  for (let round = 0; round < rounds; round += 1) {
    costs.ours.push((await backUp({ folder: own, tree }, 2 + round, full.made)).cost);
    // Each time against the same list, as a differential run is against the same full one.
    costs["tar -g"].push(
      await run('cp "$OUT/list" "$OUT/now"; tar -C "$PARENT" -g "$OUT/now" -cf - "$NAME" > "$OUT/b.tar"'),
    );
    costs.restic.push(await run('restic -q -r "$OUT/restic" backup "$TREE"'));
  }
  return costs;
}

/** One backup by the agent's own job process, from its start to its end. */
async function backUp(
  place: Place,
  recordId: number,
  base: Made | null,
): Promise<{ made: Made; cost: Cost }> {
  const workDir = mkdtempSync(join(place.folder, "work-"));
  const cpu = join(place.folder, "cpu");
  const counting = `import{isMainThread as m}from"node:worker_threads";import{writeFileSync as w}from"node:fs";m&&process.on("exit",()=>{const c=process.cpuUsage();w(${JSON.stringify(cpu)},String((c.user+c.system)/1e6))})`;
  const startedAt = performance.now();
  const child = fork(JOB, [], {
    execArgv: [
      "--max-semi-space-size=1",
      "--no-warnings",
      "--import",
      `data:text/javascript,${encodeURIComponent(counting)}`,
    ],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  let made: Made | null = null;
  let failure = "the job said nothing";
  child.on("message", (message: { type: string; message?: string; text?: string } & Partial<Made>) => {
    if (message.type === "done") made = message as Made;
    if (message.type === "failed") failure = message.message ?? "";
    if (message.type === "log" && base) console.error(message.text);
  });
  child.send(envelope(place, workDir, recordId, base));
  await once(child, "close");
  const wallS = (performance.now() - startedAt) / 1000;
  rmSync(workDir, { recursive: true });
  if (!made) throw new Error(failure);
  return { made, cost: { wallS, cpuS: Number(readFileSync(cpu, "utf8")) } };
}

function envelope({ folder, tree }: Place, workDir: string, recordId: number, base: Made | null) {
  const store = join(folder, "store");
  mkdirSync(store, { recursive: true });
  const target = {
    id: 1,
    type: "local_disk",
    name: "store",
    config: { path: store },
    transferMode: "direct",
  };
  const spec = {
    taskId: 1,
    source: { type: "file", paths: [tree], excludes: [], oneFileSystem: false },
    sourceSecrets: { password: null },
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
    const ratios = all.map(({ wallS }, i) => (costs.ours[i]?.wallS ?? Number.NaN) / wallS);
    const walls = all.map(({ wallS }) => wallS);
    return [
      who,
      median(walls).toFixed(2),
      `${Math.min(...walls).toFixed(2)}–${Math.max(...walls).toFixed(2)}`,
      median(all.map(({ cpuS }) => cpuS)).toFixed(2),
      who === "ours" ? "" : median(ratios).toFixed(2),
    ];
  });
  return table([["", "seconds, median", "spread", "CPU seconds", "ours / this"], ...rows]);
}
