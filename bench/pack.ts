/**
 * How long our packing takes against `tar | zstd -T0 -1` on the same tree, in alternating runs, as ratios.
 *
 *     node bench/pack.ts [rounds] [directory...]      default: 20,000 small files made for the purpose, and /usr/share
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { runBackup } from "../agent-cli/pipeline/backup.ts";
import { discarding } from "./discarding.ts";

const smallFiles = 20_000;

async function main(): Promise<void> {
  const [rounds = "3", ...named] = process.argv.slice(2);
  const scratch = mkdtempSync(join(tmpdir(), "pack-bench-"));
  try {
    const trees = named.length > 0 ? named : [makeSmallFiles(join(scratch, "small")), "/usr/share"];
    for (const tree of trees) await compare(tree, Number(rounds), scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function compare(tree: string, rounds: number, scratch: string): Promise<void> {
  runTar(tree);
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const tar = runTar(tree);
    const own = await runOwn(tree, scratch);
    ratios.push(own.ms / tar);
    const rss = Math.round(process.resourceUsage().maxRSS / 1024);
    const sizes = `${own.entries} entries, ${Math.round(own.bytes / 1e6)} MB packed, peak ${rss} MiB`;
    console.log(`${tree}: ours ${Math.round(own.ms)} ms, tar|zstd ${Math.round(tar)} ms (${sizes})`);
  }
  const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? Number.NaN;
  console.log(`${tree}: ratio ${median.toFixed(2)} (median of ${rounds})`);
}

function runTar(tree: string): number {
  const startedAt = performance.now();
  // `$0` and `$1` are the parent directory and the name, so that no path is part of the script.
  const script = 'tar -C "$0" -cf - "$1" 2>/dev/null | zstd -q -T0 -1 | wc -c';
  const { status } = spawnSync("sh", ["-c", script, dirname(tree), basename(tree)], { stdio: "ignore" });
  if (status !== 0) throw new Error("tar or zstd is missing here");
  return performance.now() - startedAt;
}

async function runOwn(
  tree: string,
  workDir: string,
): Promise<{ ms: number; entries: number; bytes: number }> {
  const startedAt = performance.now();
  const { entries, sizeBytes } = await runBackup({
    source: { type: "file", paths: [tree], excludes: [], oneFileSystem: false },
    pipeline: { compression: "zstd", level: null, bandwidthBytesPerSecond: null },
    targets: [{ id: 1, name: "nowhere", storage: discarding(), key: "x", quotaRemainingBytes: null }],
    workDir: mkdtempSync(join(workDir, "work-")),
    report: { progress() {}, log() {} },
    signal: new AbortController().signal,
  });
  return { ms: performance.now() - startedAt, entries, bytes: sizeBytes };
}

/** Files of 1 to 16 KB, most of them text-like, twenty to a directory. */
function makeSmallFiles(root: string): string {
  const line = "2026-01-01T00:00:00Z info request served in 12 ms from cache, user=";
  for (let i = 0; i < smallFiles; i += 1) {
    const directory = join(root, `d${Math.floor(i / 20)}`);
    if (i % 20 === 0) mkdirSync(directory, { recursive: true });
    const size = 1000 + ((i * 7919) % 15_000);
    const noise = randomBytes(Math.ceil(size / 16)).toString("base64");
    const content =
      i % 10 < 3 ? randomBytes(size) : Buffer.from(`${line}${noise}\n`.repeat(40)).subarray(0, size);
    writeFileSync(join(directory, `file-${i}.log`), content);
  }
  return root;
}

await main();
