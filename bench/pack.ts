/**
 * How long our packing takes against tar and a compressor on the same tree, in alternating runs: wall, CPU seconds and
 * memory, as ratios of each pair. Nothing is stored; ours runs with the settings of a job's process.
 *
 *     node bench/pack.ts [rounds] [comparison,...] [directory...]
 *
 * The comparisons are zstd-1, zstd-3, gzip, none, sealed-1 and sealed-3 (encrypted against not), s3-1 and s3-3 (uploaded to
 * an S3 service of this machine against not), cold-1, cold-3 and cold-s3-1 (what the kernel keeps of the tree is dropped before
 * each run, by vmtouch). The directories are three that are made for it unless some are named.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";
import { bundling } from "../agent-cli/bundling.ts";
import { jobArguments, mallocFor } from "../agent-cli/jobs/job-process.ts";
import { packersOf } from "../agent-cli/pipeline/packers.ts";
import { type Cost, measure } from "./measure.ts";
import { startS3rver } from "./s3-server.ts";
import { machine, percentile, roundsOf } from "./statistics.ts";
import { trees } from "./trees.ts";

type Run = { script: string; env?: Record<string, string> };
type Comparison = { theirs(tree: string): Run; ours(tree: string): Run; cold?: boolean };

const [asked = "3", chosen = "zstd-1,zstd-3,gzip,none,sealed-1", ...named] = process.argv.slice(2);
const rounds = roundsOf(asked);
const s3 = await startS3rver();
/** What is measured is what is shipped: a bundle, without types to strip. */
const bundle = mkdtempSync(join(tmpdir(), "pack-bundle-"));
const once = join(bundle, "pack-once.js");
const own = (options: Record<string, unknown>) => (tree: string) => ({
  script: `"$NODE" ${jobArguments.join(" ")} "$ONCE" "$TREE" "$OPTIONS"`,
  env: {
    ...mallocFor("backup"),
    // As the agent has it for a backup that goes over the network.
    UV_THREADPOOL_SIZE: String(packersOf(null)),
    NODE: process.execPath,
    ONCE: once,
    TREE: tree,
    OPTIONS: JSON.stringify(options),
  },
});
const piped = (compressor: string) => (tree: string) => ({
  script: `tar -C "$PARENT" -cf - "$NAME" | ${compressor} > /dev/null`,
  env: { PARENT: dirname(tree), NAME: basename(tree) },
});
const zstd = (level: number, cold = false): Comparison => ({
  theirs: piped(`zstd -q -T0 -${level}`),
  ours: own({ level }),
  cold,
});
const sealed = (level: number): Comparison => ({
  theirs: own({ level }),
  ours: own({ level, encrypted: true }),
});
const uploaded = (level: number, cold = false): Comparison => ({
  theirs: own({ level }),
  ours: (tree) => own({ level, s3: s3.config })(tree),
  cold,
});
const comparisons: Record<string, Comparison> = {
  "zstd-1": zstd(1),
  "zstd-3": zstd(3),
  gzip: { theirs: piped("pigz -6"), ours: own({ compression: "gzip", level: 6 }) },
  none: { theirs: piped("cat"), ours: own({ compression: "none" }) },
  "sealed-1": sealed(1),
  "sealed-3": sealed(3),
  "s3-1": uploaded(1),
  "s3-3": uploaded(3),
  "cold-1": zstd(1, true),
  "cold-3": zstd(3, true),
  "cold-s3-1": uploaded(1, true),
};

async function makeBundle(): Promise<void> {
  const pipeline = join(import.meta.dirname, "..", "agent-cli", "pipeline");
  writeFileSync(join(bundle, "package.json"), '{"type":"module"}');
  await build({
    entryPoints: {
      "pack-once": join(import.meta.dirname, "pack-once.ts"),
      "pack-thread": join(pipeline, "pack-thread.ts"),
    },
    outdir: bundle,
    ...bundling,
  });
}

async function main(): Promise<void> {
  await makeBundle();
  const scratch = mkdtempSync(join(tmpdir(), "pack-bench-"));
  try {
    const places = named.length > 0 ? named : Object.values(trees).map((make) => make(scratch));
    console.log(machine());
    for (const tree of places) {
      for (const name of chosen.split(",")) await compare(tree, name);
    }
    console.log(machine());
  } finally {
    for (const made of [scratch, bundle]) rmSync(made, { recursive: true, force: true });
    await s3.close();
  }
}

async function compare(tree: string, name: string): Promise<void> {
  const comparison = comparisons[name];
  if (!comparison) throw new Error(`there is no comparison ${name}`);
  const pairs: { theirs: Cost; ours: Cost }[] = [];
  // The first pair warms up, unless it is cold that is measured.
  for (let round = comparison.cold ? 1 : 0; round <= rounds; round += 1) {
    // Each goes first in turn: what the machine does meanwhile shall favour neither.
    const costs: Partial<Record<"theirs" | "ours", Cost>> = {};
    const order = round % 2 === 0 ? (["theirs", "ours"] as const) : (["ours", "theirs"] as const);
    for (const who of order) {
      if (comparison.cold) forget(tree);
      const { script, env } = comparison[who](tree);
      costs[who] = await measure(script, env);
    }
    if (round > 0) pairs.push(costs as { theirs: Cost; ours: Cost });
  }
  const ratio = (of: (cost: Cost) => number) => {
    const values = pairs.map(({ ours, theirs }) => of(ours) / of(theirs));
    const [middle, low, high] = [0.5, 0, 1].map((share) => percentile(values, share).toFixed(2));
    return `${middle} (${low} to ${high})`;
  };
  const mid = (values: number[]) => percentile(values, 0.5);
  const walls = `${mid(pairs.map((p) => p.ours.wallS)).toFixed(2)} s against ${mid(pairs.map((p) => p.theirs.wallS)).toFixed(2)} s`;
  const cpus = `${mid(pairs.map((p) => p.ours.cpuS)).toFixed(2)} s against ${mid(pairs.map((p) => p.theirs.cpuS)).toFixed(2)} s`;
  // On a busy machine the best of several runs says more than the middle one.
  const best = (who: "ours" | "theirs") => Math.min(...pairs.map((pair) => pair[who].wallS));
  const peak = Math.round(Math.max(...pairs.map(({ ours }) => ours.peakMib)));
  console.log(
    `${basename(tree)} ${name}: wall ${ratio((c) => c.wallS)}, CPU ${ratio((c) => c.cpuS)}; best ${(best("ours") / best("theirs")).toFixed(2)}; ${walls}, CPU ${cpus}; peak ${peak} MiB`,
  );
}

/** Makes the kernel drop what it keeps of a tree's files. */
function forget(tree: string): void {
  const { status } = spawnSync("sh", ["-c", 'sync; vmtouch -qe "$0"', tree], { stdio: "ignore" });
  if (status !== 0) throw new Error("cold runs need vmtouch");
}

await main();
