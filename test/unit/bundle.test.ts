import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

const MAX_BYTES = 1_048_576;

it("the master's bundle is at most 1 MB gzipped, not even minified", async () => {
  // As wrangler bundles it; Node's and workerd's own modules are the platform's.
  const { outputFiles } = await build({
    entryPoints: [path.resolve(import.meta.dirname, "../../worker/index.ts")],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["node:*", "cloudflare:*"],
  });
  const bytes = gzipSync(outputFiles[0]?.contents ?? "").length;
  console.info(`master's bundle: ${Math.round(bytes / 1024)} KiB gzipped`);
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThanOrEqual(MAX_BYTES);
});
