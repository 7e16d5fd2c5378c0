import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

export const DATABASE = "backupx-edge";
export const BUCKET = "backupx-vault";
const LOCAL_DATABASE_ID = "00000000-0000-0000-0000-000000000000";

export type WranglerResult = { code: number; output: string };
export type DeployTools = {
  /** Runs wrangler with these arguments and returns what it printed. */
  wrangler: (args: string[]) => Promise<WranglerResult>;
  fetch: typeof fetch;
  say: (text: string) => void;
  /** 32 random bytes in base64, for the master's secret. */
  newKey: () => string;
  wait: (milliseconds: number) => Promise<void>;
};
export type DeployOptions = {
  root: string;
  /** Where what must be kept is written, mode 0700. */
  keepIn: string;
  location: string | undefined;
  admin: { username: string; password: string };
};

/**
 * Takes a logged-in user to a working master, and again to an up-to-date one: each step looks first whether it is
 * done. The first administrator is made at once, so that no stranger can. Returns the master's URL.
 */
export async function deploy(tools: DeployTools, options: DeployOptions): Promise<string> {
  const databaseId = await ensureDatabase(tools, options.location);
  await ensureBucket(tools);
  const config = writeConfig(options.root, databaseId);
  await must(tools, ["d1", "migrations", "apply", DATABASE, "--remote", "--config", config], "migrations");
  const secrets = await ensureMasterKey(tools, options.keepIn, config);
  const deployed = await must(tools, ["deploy", "--config", config, ...secrets], "deploying");
  const url = /https:\/\/[a-z0-9.-]+\.workers\.dev|https:\/\/[^\s]+(?= \(custom domain\))/.exec(
    deployed,
  )?.[0];
  if (!url) throw new Error(`wrangler deployed, but named no address:\n${deployed}`);
  tools.say(`deployed   ${url}`);
  await ensureAdmin(tools, url, options.admin);
  return url;
}

async function ensureDatabase(tools: DeployTools, location: string | undefined): Promise<string> {
  const listed = await tools.wrangler(["d1", "list", "--json"]);
  if (listed.code !== 0) {
    throw new Error(
      `wrangler cannot reach your account. Run "npx wrangler login", or set CLOUDFLARE_API_TOKEN, then try again.\n${listed.output.trim()}`,
    );
  }
  const known = databaseIn(listed.output);
  if (known) {
    tools.say(`database   ${DATABASE} exists`);
    return known;
  }
  await must(
    tools,
    ["d1", "create", DATABASE, ...(location ? ["--location", location] : [])],
    "making the database",
  );
  const made = databaseIn((await tools.wrangler(["d1", "list", "--json"])).output);
  if (!made) throw new Error(`the database ${DATABASE} was made, but wrangler does not list it`);
  tools.say(`database   ${DATABASE} made`);
  return made;
}

function databaseIn(output: string): string | undefined {
  const databases = JSON.parse(output.slice(output.indexOf("["))) as { name: string; uuid: string }[];
  return databases.find((database) => database.name === DATABASE)?.uuid;
}

async function ensureBucket(tools: DeployTools): Promise<void> {
  if ((await tools.wrangler(["r2", "bucket", "info", BUCKET])).code === 0) {
    tools.say(`vault      ${BUCKET} exists`);
    return;
  }
  await must(tools, ["r2", "bucket", "create", BUCKET], "making the vault (is R2 enabled for the account?)");
  tools.say(`vault      ${BUCKET} made`);
}

/** wrangler.toml with the account's own database in it; it belongs to this checkout and is not committed. */
function writeConfig(root: string, databaseId: string): string {
  const file = path.join(root, "wrangler.deploy.toml");
  const text = readFileSync(path.join(root, "wrangler.toml"), "utf8");
  if (!text.includes(LOCAL_DATABASE_ID))
    throw new Error("wrangler.toml names another database than the local one");
  writeFileSync(file, text.replace(LOCAL_DATABASE_ID, databaseId));
  return file;
}

/** The master's secret is made once. Whoever loses it loses what is sealed in the database, so it is kept in a file. */
async function ensureMasterKey(tools: DeployTools, keepIn: string, config: string): Promise<string[]> {
  const file = path.join(keepIn, "master-key.json");
  const listed = await tools.wrangler(["secret", "list", "--config", config]);
  if (listed.code === 0 && listed.output.includes('"MASTER_KEY"')) {
    tools.say("secret     MASTER_KEY is set");
    return [];
  }
  if (!existsSync(file)) {
    mkdirSync(keepIn, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${JSON.stringify({ MASTER_KEY: tools.newKey() })}\n`, { mode: 0o600 });
  }
  tools.say(`secret     MASTER_KEY made; keep a copy of ${file} in a safe place`);
  return ["--secrets-file", file];
}

async function ensureAdmin(tools: DeployTools, url: string, admin: DeployOptions["admin"]): Promise<void> {
  const state = await untilAnswers(tools, `${url}/api/setup`);
  if (!state.data.needed) return;
  const response = await tools.fetch(`${url}/api/setup`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(admin),
  });
  if (!response.ok) throw new Error(`the first administrator was refused: ${await response.text()}`);
  tools.say(`admin      ${admin.username} made`);
}

/** A new workers.dev address takes a while until every place knows it. */
async function untilAnswers(tools: DeployTools, url: string): Promise<{ data: { needed: boolean } }> {
  for (let attempt = 0; attempt < 60; attempt++) {
    const response = await tools.fetch(url).catch(() => null);
    if (response?.ok) return (await response.json()) as { data: { needed: boolean } };
    await tools.wait(2000);
  }
  throw new Error(`${url} does not answer after two minutes; open it in a browser to see why`);
}

async function must({ wrangler }: DeployTools, args: string[], what: string): Promise<string> {
  const { code, output } = await wrangler(args);
  if (code !== 0)
    throw new Error(`${what} failed (wrangler ${args.slice(0, 3).join(" ")}):\n${output.trim()}`);
  return output;
}
