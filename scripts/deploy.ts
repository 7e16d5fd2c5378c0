// `npm run deploy`: from a logged-in wrangler to a working master on Cloudflare.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { deploy, type WranglerResult } from "./deploy-steps.ts";

const root = path.resolve(import.meta.dirname, "..");
const keepIn = path.join(root, ".backupx", "deploy");

async function wrangler(args: string[]): Promise<WranglerResult> {
  const child = spawn(process.execPath, [path.join(root, "node_modules/wrangler/bin/wrangler.js"), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true", CI: "true" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "exit");
  return { code: code ?? 1, output };
}

const built = spawnSync(process.execPath, [path.join(root, "scripts/build.ts")], {
  cwd: root,
  stdio: "inherit",
});
if (built.status !== 0) process.exit(1);

const given = process.env.BACKUPX_ADMIN_PASSWORD;
const password = given ?? randomBytes(12).toString("base64url");
const username = process.env.BACKUPX_ADMIN_USER ?? "admin";
let adminMade = false;
try {
  const url = await deploy(
    {
      wrangler,
      fetch,
      wait,
      newKey: () => randomBytes(32).toString("base64"),
      say: (text) => {
        adminMade ||= text.startsWith("admin");
        console.log(`  ${text}`);
      },
    },
    { root, keepIn, location: process.env.BACKUPX_D1_LOCATION, admin: { username, password } },
  );
  if (adminMade && !given)
    console.log(`\nSign in as ${username} with the password ${password}   <- shown this once`);
  console.log(`\nThe master serves at ${url}`);
} catch (error) {
  console.error(`\nnpm run deploy: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
