/** One packing run for bench/pack.ts: the tree, then what is asked of the pipeline, as JSON. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBackup } from "../agent-cli/pipeline/backup.ts";
import type { S3Config } from "../agent-cli/storage/s3.ts";
import type { Storage } from "../agent-cli/storage/storage.ts";
import { discarding } from "./discarding.ts";

const [tree = "", options = "{}"] = process.argv.slice(2);
const { encrypted = false, s3: place, ...asked } = JSON.parse(options);
const workDir = mkdtempSync(join(tmpdir(), "pack-once-"));
// A public key that nobody has the other half of.
const recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"];
const storage = place ? await uploadingTo(place) : discarding();
try {
  const { entries, sizeBytes, warningCount } = await runBackup({
    source: { type: "file", paths: [tree], excludes: [], oneFileSystem: false },
    pipeline: {
      compression: "zstd",
      level: null,
      encryption: encrypted ? { recipients } : null,
      ...asked,
    },
    targets: [{ id: 1, name: "target", storage, key: "x", quotaRemainingBytes: null }],
    workDir,
    report: { progress() {}, log() {} },
    signal: new AbortController().signal,
  });
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  console.error(`peak ${peak} MiB, ${entries} entries, ${sizeBytes} bytes, ${warningCount} warnings`);
} finally {
  rmSync(workDir, { recursive: true, force: true });
}

/** As a job has it: what speaks to the network is loaded only where it is needed. */
async function uploadingTo(config: S3Config): Promise<Storage> {
  const { s3 } = await import("../agent-cli/storage/s3.ts");
  return s3(config);
}
