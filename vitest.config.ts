import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** 32 bytes that only tests know. */
const MASTER_KEY = btoa("a master key of tests, 32 bytes!");

export default defineConfig({
  test: {
    reporters: ["default", "./test/closing-line.ts"],
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "node",
          include: ["test/{unit,engine,storage,agent,e2e,browser}/**/*.test.ts"],
          // A busy disk takes a minute to remove what some tests made.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: { MASTER_KEY, TEST_MIGRATIONS: await readD1Migrations("./drizzle") } },
          })),
        ],
        test: {
          name: "worker",
          include: ["test/worker/**/*.test.ts"],
          setupFiles: ["./test/worker/setup.ts"],
          testTimeout: 30_000,
        },
      },
    ],
  },
});
