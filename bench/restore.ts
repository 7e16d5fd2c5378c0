/**
 * A whole restore against `zstd -dc | tar x` of the same artifact, in alternating runs on a tmpfs (on a shared disk, the
 * making of inodes swamps both), as ratios.
 *
 *     node bench/restore.ts [rounds] [small|large|usr...] [--none|--gzip]      default: 5 rounds, all three, zstd
 *
 * Without compression or with gzip, an archive has no index; theirs is then `tar x` or `pigz -dc | tar x`.
 *
 * Ours is what is shipped, the built command: as people start it, and with the settings that an agent gives the process of
 * a restore. It is told the hash that a master knows: so it also reads the whole artifact once more to prove it before it
 * writes, and it compares every file with its own hash.
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jobArguments, mallocFor } from "../agent-cli/jobs/job-process.ts";
import { agentFile, buildAgent } from "./built-agent.ts";
import { type Cost, measure } from "./measure.ts";
import { machine, median, roundsOf } from "./statistics.ts";
import { type TreeName, trees } from "./trees.ts";

const agentPath = agentFile("bin/backupx-agent.mjs");
const agent = `${process.execPath} ${agentPath}`;
const settings = Object.entries(mallocFor("restore")).map(([name, value]) => `${name}=${value}`);
const asJob = `env ${settings.join(" ")} ${process.execPath} ${jobArguments.join(" ")} ${agentPath}`;

const compression = ["none", "gzip"].find((name) => process.argv.includes(`--${name}`)) ?? "zstd";
const unpacked = {
  zstd: 'zstd -dcq "$ARTIFACT" | tar -C "$BACK" -xf -',
  gzip: 'pigz -dc "$ARTIFACT" | tar -C "$BACK" -xf -',
  none: 'tar -C "$BACK" -xf "$ARTIFACT"',
}[compression] as string;

async function main(): Promise<void> {
  const [asked = "5", ...others] = process.argv.slice(2);
  const rounds = roundsOf(asked);
  const named = others.filter((name) => !name.startsWith("--"));
  buildAgent();
  const scratch = mkdtempSync(join("/dev/shm", "restore-bench-"));
  console.log(machine());
  try {
    for (const name of named.length > 0 ? named : Object.keys(trees))
      await compare(name as TreeName, rounds, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function compare(name: TreeName, rounds: number, scratch: string): Promise<void> {
  const tree = trees[name](scratch);
  const out = join(scratch, `${name}.out`);
  await measure(`mkdir "$OUT"; ${agent} backup "$TREE" --to "$OUT" --name a --compression ${compression}`, {
    TREE: tree,
    OUT: out,
  });
  rmSync(tree, { recursive: true });
  const [file = ""] = readdirSync(out);
  const artifact = join(out, file);
  const sha256 = await hashOf(artifact);
  const restoring = `restore "$ARTIFACT" --to "$BACK" --sha256 ${sha256}`;
  const ours = { "as a job": `${asJob} ${restoring}`, "as a command": `${agent} ${restoring}` };
  for (const [how, script] of Object.entries(ours)) {
    const pairs: { own: Cost; other: Cost }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const pair = await inTurns(script, unpacked, round, artifact, scratch);
      console.log(`${name}, ${how}: ours ${shown(pair.own)}; theirs ${shown(pair.other)}`);
      pairs.push(pair);
    }
    summarize(`${name}, ${how}`, pairs);
  }
  rmSync(out, { recursive: true });
}

/** Each goes first in turn: what the machine does meanwhile shall favour neither. */
async function inTurns(ours: string, theirs: string, round: number, artifact: string, scratch: string) {
  if (round % 2 === 0)
    return { own: await restore(ours, artifact, scratch), other: await restore(theirs, artifact, scratch) };
  const other = await restore(theirs, artifact, scratch);
  return { own: await restore(ours, artifact, scratch), other };
}

function summarize(title: string, pairs: readonly { own: Cost; other: Cost }[]): void {
  const walls = pairs.map(({ own, other }) => own.wallS / other.wallS);
  const cpu = median(pairs.map(({ own, other }) => own.cpuS / other.cpuS));
  const spread = `${Math.min(...walls).toFixed(2)} to ${Math.max(...walls).toFixed(2)}`;
  const peak = Math.round(Math.max(...pairs.map(({ own }) => own.peakMib)));
  console.log(
    `${title}: wall ${median(walls).toFixed(2)} (${spread}), CPU ${cpu.toFixed(2)}, peak ${peak} MiB, ${pairs.length} pairs`,
  );
}

async function restore(script: string, artifact: string, scratch: string): Promise<Cost> {
  const back = join(scratch, "back");
  try {
    return await measure(`mkdir "$BACK"; ${script}`, { ARTIFACT: artifact, BACK: back });
  } finally {
    rmSync(back, { recursive: true, force: true });
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

const shown = ({ wallS, cpuS, peakMib }: Cost): string =>
  `${wallS.toFixed(2)} s (CPU ${cpuS.toFixed(2)} s, ${Math.round(peakMib)} MiB)`;

await main();
