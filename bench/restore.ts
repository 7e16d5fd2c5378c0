/**
 * A whole restore against `zstd -dc | tar x` of the same artifact, in alternating runs on a tmpfs (on a shared disk, the
 * making of inodes swamps both), as ratios.
 *
 *     npm run build && node bench/restore.ts [rounds] [small|large|usr...]      default: 5 rounds, small and usr
 *
 * Ours is the built command as people start it, with the hash that a master knows: so it also reads the whole artifact
 * once more to prove it before it writes, and compares every file with its own hash.
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Cost, measure } from "./measure.ts";
import { machine, median } from "./statistics.ts";
import { type TreeName, trees } from "./trees.ts";

const agent = `${process.execPath} ${join(import.meta.dirname, "../agent-cli/bin/backupx-agent.mjs")}`;

async function main(): Promise<void> {
  const [rounds = "5", ...named] = process.argv.slice(2);
  const scratch = mkdtempSync(join("/dev/shm", "restore-bench-"));
  console.log(machine());
  try {
    for (const name of named.length > 0 ? named : ["small", "usr"])
      await compare(name as TreeName, Number(rounds), scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function compare(name: TreeName, rounds: number, scratch: string): Promise<void> {
  const tree = trees[name](scratch);
  const out = join(scratch, `${name}.out`);
  await measure(`mkdir "$OUT"; ${agent} backup "$TREE" --to "$OUT" --name a`, { TREE: tree, OUT: out });
  rmSync(tree, { recursive: true });
  const [file = ""] = readdirSync(out);
  const artifact = join(out, file);
  const sha256 = await hashOf(artifact);
  const ours = `${agent} restore "$ARTIFACT" --to "$BACK" --sha256 ${sha256}`;
  const theirs = 'zstd -dcq "$ARTIFACT" | tar -C "$BACK" -xf -';
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in turn: what the machine does meanwhile shall favour neither.
    const [first, second] = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
    const costs = [await restore(first, artifact, scratch), await restore(second, artifact, scratch)];
    const [own, other] = (round % 2 === 0 ? costs : costs.reverse()) as [Cost, Cost];
    walls.push(own.wallS / other.wallS);
    cpus.push(own.cpuS / other.cpuS);
    console.log(`${name}: ours ${shown(own)}; zstd and tar ${shown(other)}`);
  }
  const spread = `${Math.min(...walls).toFixed(2)} to ${Math.max(...walls).toFixed(2)}`;
  console.log(
    `${name}: wall ${median(walls).toFixed(2)} (${spread}), CPU ${median(cpus).toFixed(2)}, ${rounds} pairs`,
  );
  rmSync(out, { recursive: true });
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
