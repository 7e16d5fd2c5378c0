import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { bundling } from "./bundling.ts";

const here = import.meta.dirname;
const dist = join(here, "dist");
const assets = join(here, "..", "dist", "assets");

await bundle();
await pack();

/** One small entry and chunks that are loaded when they are needed: the agent's start stays short. */
async function bundle(): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  await build({
    entryPoints: {
      main: join(here, "main.ts"),
      job: join(here, "job.ts"),
      "extract-worker": join(here, "pipeline", "extract-worker.ts"),
      "hash-thread": join(here, "pipeline", "hash-thread.ts"),
      "pack-thread": join(here, "pipeline", "pack-thread.ts"),
    },
    outdir: dist,
    ...bundling,
  });
}

/** The package as people install it: all that it needs is inside, so that the master alone can serve it. */
async function pack(): Promise<void> {
  const staging = await mkdtemp(join(tmpdir(), "backupx-agent-"));
  try {
    const manifest = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
    const { dependencies: _bundled, scripts: _ours, ...published } = manifest;
    await writeFile(join(staging, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
    for (const part of ["bin", "dist", "README.md"]) {
      await cp(join(here, part), join(staging, part), { recursive: true });
    }
    await cp(join(here, "..", "LICENSE"), join(staging, "LICENSE"));
    await chmod(join(staging, "bin", "backupx-agent.mjs"), 0o755);
    await mkdir(assets, { recursive: true });
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    const options = ["pack", "--silent", "--ignore-scripts", "--pack-destination", staging];
    await promisify(execFile)(npm, options, { cwd: staging });
    await cp(join(staging, `${published.name}-${published.version}.tgz`), join(assets, "backupx-agent.tgz"));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
