/**
 * Our backups against `tar | zstd`, `tar | pigz`, restic, borg and rclone, on the same trees in one run: seconds, CPU,
 * memory, size, a second run with nothing changed, and restoring.
 *
 *     node bench/compare.ts [--rounds 3] [--tree large|small|usr]... [--only NAME]... [--cold] [--quick] [--json]
 *
 * Needs bash, zstd, pigz, restic, borgbackup and rclone; what is not installed is left out by name. Trees are made on
 * the disk below TMPDIR (5 GB) and read from the page cache, or with --cold (needs vmtouch) from the disk; what is
 * written goes to /dev/shm. The contenders take turns within a round, and ratios are of the runs of one round.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { buildAgent } from "./built-agent.ts";
import { type Contender, contenders } from "./contenders.ts";
import { type Cost, measure } from "./measure.ts";
import { machine, median, roundsOf, table } from "./statistics.ts";
import { type TreeName, trees } from "./trees.ts";

type Run = { first: Cost; second: Cost | null; restore: Cost | null; sizeMb: number };
type Results = Map<Contender, Run[]>;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "3" },
      tree: { type: "string", multiple: true, default: Object.keys(trees) },
      only: { type: "string", multiple: true },
      cold: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const rounds = values.quick ? 1 : roundsOf(values.rounds);
  const entered = contenders.filter(({ name }) => !values.only || values.only.includes(name));
  const able = entered.filter(({ needs }) => needs.every(isInstalled));
  const say = (line: string) => (values.json ? console.error(line) : console.log(line));
  for (const { name } of entered.filter((one) => !able.includes(one)))
    say(`left out, not installed: ${name}`);
  buildAgent();
  const disk = mkdtempSync(join(tmpdir(), "compare-trees-"));
  const fast = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "compare-"));
  const report: Record<string, unknown> = {};
  try {
    for (const name of values.tree as TreeName[]) {
      const tree = trees[name](disk);
      const results = await compete(tree, able, {
        fast,
        rounds,
        cold: values.cold,
        say,
      });
      say(`\n${name}: ${machine()}\n${shown(results)}\n`);
      report[name] = Object.fromEntries([...results].map(([{ name: who }, runs]) => [who, runs]));
      rmSync(tree, { recursive: true });
    }
    if (values.json) console.log(JSON.stringify({ machine: machine(), trees: report }, null, 2));
  } finally {
    rmSync(disk, { recursive: true, force: true });
    rmSync(fast, { recursive: true, force: true });
  }
}

const isInstalled = (program: string) => spawnSync("which", [program]).status === 0;

type Setting = { fast: string; rounds: number; cold: boolean; say: (line: string) => void };

/** Those that take long and are far away run once; what is compared closely runs in every round. */
async function compete(
  tree: string,
  able: Contender[],
  { fast, rounds, cold, say }: Setting,
): Promise<Results> {
  spawnSync("bash", ["-c", 'tar -C "$0" -cf - . | cat > /dev/null', tree]);
  const results: Results = new Map(able.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of able.filter(({ slow }) => round === 0 || !slow)) {
      const run = await runOne(contender, tree, fast, cold);
      results.get(contender)?.push(run);
      say(`round ${round + 1}, ${contender.name}: ${told(run)}`);
    }
  }
  return results;
}

async function runOne(contender: Contender, tree: string, fast: string, cold: boolean): Promise<Run> {
  const work = mkdtempSync(join(fast, "run-"));
  const paths = {
    tree,
    parent: dirname(tree),
    name: basename(tree),
    out: join(work, "out"),
    back: join(work, "back"),
  };
  mkdirSync(paths.out);
  mkdirSync(paths.back);
  const env = {
    TREE: paths.tree,
    PARENT: paths.parent,
    NAME: paths.name,
    OUT: paths.out,
    BACK: paths.back,
    ...contender.env,
  };
  try {
    if (contender.prepare) await measure(contender.prepare, env);
    if (cold) await measure('sync; vmtouch -qe "$TREE"', env);
    const first = await measure(contender.first, env);
    const sizeMb = sizeOf(paths.out) / 1e6;
    const restore = contender.restore ? await measure(contender.restore, env) : null;
    const second = contender.second ? await measure(contender.second, env) : null;
    return { first, second, restore, sizeMb };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);

const told = ({ first, second, restore, sizeMb }: Run) =>
  `${first.wallS.toFixed(2)} s, CPU ${first.cpuS.toFixed(2)} s, peak ${first.peakMib.toFixed(0)} MiB, ${sizeMb.toFixed(0)} MB` +
  `${second ? `; again ${second.wallS.toFixed(2)} s` : ""}${restore ? `; restore ${restore.wallS.toFixed(2)} s` : ""}`;

function shown(results: Results): string {
  const rows = [...results].map(([contender, runs]) => {
    const against = [...results].find(([{ name }]) => name === contender.against)?.[1];
    return [
      contender.name,
      seconds(runs.map(({ first }) => first.wallS)),
      seconds(runs.map(({ first }) => first.cpuS)),
      Math.round(Math.max(...runs.map(({ first }) => first.peakMib))),
      Math.round(median(runs.map(({ sizeMb }) => sizeMb))),
      seconds(runs.flatMap(({ second }) => second?.wallS ?? [])),
      seconds(runs.flatMap(({ restore }) => restore?.wallS ?? [])),
      against ? `${ratio(runs, against, ({ first }) => first.wallS)} of ${contender.against}` : "",
      against ? ratio(runs, against, ({ restore }) => restore?.wallS ?? Number.NaN) : "",
    ];
  });
  const head = [
    "contender",
    "wall s",
    "CPU s",
    "peak MiB",
    "MB",
    "again s",
    "restore s",
    "wall ratio",
    "restore ratio",
  ];
  return table([head, ...rows]);
}

const seconds = (values: number[]): string =>
  values.length === 0
    ? ""
    : values.length === 1
      ? (values[0] as number).toFixed(2)
      : `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)})`;

/** The median of the ratios within each round, and their range. */
function ratio(runs: Run[], against: Run[], of: (run: Run) => number): string {
  const ratios = runs.flatMap((run, round) => (against[round] ? [of(run) / of(against[round])] : []));
  const valid = ratios.filter((value) => !Number.isNaN(value));
  return seconds(valid);
}

await main();
