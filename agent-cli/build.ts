import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build, type Plugin } from "esbuild";

const here = import.meta.dirname;
const dist = join(here, "dist");
const assets = join(here, "..", "dist", "assets");

/** zod brings its messages in some fifty languages, 10 MB of a resident agent's memory; English comes by itself. */
const withoutLocales: Plugin = {
  name: "without-locales",
  setup({ onLoad }) {
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "" }));
  },
};

/** Parts of undici that the agent never calls: mocks, caches, interceptors and event sources, 4 MB of its memory. */
const undiciInParts: Plugin = {
  name: "undici-in-parts",
  setup({ onLoad }) {
    onLoad({ filter: /undici\/lib\/(mock|cache|interceptor|web\/cache|web\/eventsource)\// }, () => ({
      contents: "module.exports = class {}; module.exports.CacheStorage = class {};",
    }));
  },
};

/** ssh2 is faster with these compiled parts and does without; a package for every machine cannot carry them. */
const withoutNativeParts: Plugin = {
  name: "without-native-parts",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\.node$|^cpu-features$/ }, ({ path }) => ({ path, namespace: "native" }));
    onLoad({ filter: /./, namespace: "native" }, () => ({
      contents: 'throw new Error("not in this package");',
    }));
  },
};

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
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.19",
    minify: true,
    plugins: [withoutLocales, undiciInParts, withoutNativeParts],
    legalComments: "none",
    logLevel: "warning",
    // CommonJS packages inside of an ES module still ask for Node's own modules by `require`, and for their place.
    banner: {
      js: 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);const __dirname=import.meta.dirname;',
    },
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
