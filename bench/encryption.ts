/**
 * What encryption adds to the time of a backup: the same tree with and without it, in alternating runs, as ratios.
 *
 *     node bench/encryption.ts [rounds] [directory...]      default: 500 MB made for the purpose, and /usr/share
 *
 * The made files are the worst case: half of them does not compress and is encrypted in full, and nothing waits for a
 * disk or a network. Files as they are mostly lie below.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { runBackup } from "../agent-cli/pipeline/backup.ts";
import { discarding } from "./discarding.ts";
import { median, roundsOf } from "./statistics.ts";

type Encryption = { recipients: string[] } | null;

async function main(): Promise<void> {
  const [asked = "5", ...named] = process.argv.slice(2);
  const rounds = roundsOf(asked);
  const scratch = mkdtempSync(join(tmpdir(), "encryption-bench-"));
  try {
    const recipients = [await newRecipient(), await newRecipient()];
    const trees = named.length > 0 ? named : [makeTree(join(scratch, "tree")), "/usr/share"];
    for (const tree of trees) await compare(tree, { recipients }, rounds, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const newRecipient = async () => identityToRecipient(await generateX25519Identity());

async function compare(tree: string, encryption: Encryption, rounds: number, scratch: string): Promise<void> {
  await run(tree, null, scratch);
  await run(tree, encryption, scratch);
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Each kind goes first in turn: what the machine does meanwhile shall favour neither.
    const order = round % 2 === 0 ? [null, encryption] : [encryption, null];
    const first = await run(tree, order[0] ?? null, scratch);
    const second = await run(tree, order[1] ?? null, scratch);
    const [plain, sealed] = round % 2 === 0 ? [first, second] : [second, first];
    walls.push(sealed.ms / plain.ms);
    cpus.push(sealed.cpuMs / plain.cpuMs);
    const times = `${Math.round(plain.ms)} ms without, ${Math.round(sealed.ms)} ms with`;
    const cpu = `CPU ${Math.round(plain.cpuMs)} and ${Math.round(sealed.cpuMs)} ms`;
    console.log(`${times}, ${cpu}, ${Math.round(sealed.bytes / 1e6)} MB made`);
  }
  const rss = Math.round(process.resourceUsage().maxRSS / 1024);
  const ratios = `wall ${median(walls).toFixed(2)}, CPU ${median(cpus).toFixed(2)}`;
  console.log(`${tree}: encryption costs ${ratios} (medians of ${rounds}), peak ${rss} MiB`);
}

async function run(tree: string, encryption: Encryption, scratch: string) {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const workDir = mkdtempSync(join(scratch, "work-"));
  const { sizeBytes } = await runBackup({
    source: { type: "file", paths: [tree], excludes: [], oneFileSystem: false },
    pipeline: { compression: "zstd", level: null, encryption },
    targets: [{ id: 1, name: "nowhere", storage: discarding(), key: "x", quotaRemainingBytes: null }],
    workDir,
    report: { progress() {}, log() {} },
    signal: new AbortController().signal,
  });
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - startedAt, cpuMs: (user + system) / 1000, bytes: sizeBytes };
}

/** 125 files of 4 MB, half of each noise and half of it text. */
function makeTree(root: string): string {
  mkdirSync(root);
  const line = "2026-01-01T00:00:00Z info request served in 12 ms from cache, user=";
  for (let i = 0; i < 125; i += 1) {
    const lines = Array.from({ length: 20_000 }, (_, n) => `${line}${(i * 7919 + n * 104_729) % 99_991}\n`);
    const text = Buffer.from(lines.join("")).subarray(0, 2_000_000);
    writeFileSync(join(root, `${i}.bin`), Buffer.concat([randomBytes(4_000_000 - text.length), text]));
  }
  return root;
}

await main();
