import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import type { Cookie } from "playwright-core";
import { adminApi } from "../../protocol/index.ts";
import { type Administrator, administrator } from "../../test/e2e/administrator.ts";
import { installAgent } from "../../test/e2e/installed-agent.ts";
import { type Master, startMaster } from "../../test/e2e/master.ts";
import { until } from "../../test/e2e/until.ts";
import { signIn } from "../sign-in.ts";

/** A master with a small company's servers, all of it real but for the days: its runs are minutes apart. */
export type Demo = {
  url: URL;
  /** A master that nobody has set up. */
  fresh: URL;
  cookies: Cookie[];
  call: Administrator["call"];
  ids: Record<"node" | "task" | "record" | "failed" | "running" | "restore" | "target", number>;
  stop(): Promise<void>;
};

const DAY_MS = 86_400_000;
const DAYS = 9;
/** Its paths are seen in the pictures. */
const home = path.join(tmpdir(), "demo");
const servers = [
  { name: "shop-1", labels: ["web", "env=prod"] },
  { name: "shop-2", labels: ["web", "env=prod"] },
  { name: "db-1", labels: ["database", "env=prod"] },
  { name: "files-1", labels: ["office"] },
  { name: "mail-1", labels: ["office"] },
] as const;
type Server = (typeof servers)[number]["name"];

export async function startDemo(): Promise<Demo> {
  if (existsSync(home)) throw new Error(`${home} is in the way: remove it`);
  const ends: (() => unknown)[] = [() => rmSync(home, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of ends.reverse()) await end();
  };
  try {
    const master = await startMaster();
    ends.push(master.close);
    const fresh = await startMaster();
    ends.push(fresh.close);
    const { call } = await administrator(master.url);
    const cookies = await makePeople(master.url, call);
    const agents = await startServers(master.url, call);
    ends.push(() => Promise.all([...agents.values()].map(({ end }) => end())));
    const ids = await live(master, call, agents);
    return { url: master.url, fresh: fresh.url, cookies, call, ids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makePeople(url: URL, call: Administrator["call"]): Promise<Cookie[]> {
  const anna = { username: "anna", password: "a password of pictures" };
  await call(adminApi.createUser, { body: { ...anna, role: "admin" } });
  for (const [username, role] of [
    ["jonas", "operator"],
    ["mei", "operator"],
    ["auditor", "viewer"],
  ] as const)
    await call(adminApi.createUser, { body: { username, role, password: anna.password } });
  await call(adminApi.createApiKey, { body: { name: "monitoring", role: "viewer" } });
  return signIn(url, anna);
}

type Agent = { nodeId: number; end(): Promise<unknown> };
type Agents = Map<Server, Agent>;

async function startServers(url: URL, call: Administrator["call"]): Promise<Agents> {
  const entry = await installAgent(path.join(home, ".agent"));
  const agents: Agents = new Map();
  for (const { name, labels } of servers) {
    const { node, token } = await call(adminApi.createNode, { body: { name, labels: [...labels] } });
    const child = startAgent(url, entry, name, token);
    agents.set(name, { nodeId: node.id, end: () => endOf(child) });
    makeFiles(name);
  }
  await call(adminApi.createNode, { body: { name: "backup-2", labels: ["office"] } });
  for (const { nodeId } of agents.values())
    await until("a node to be online", async () => {
      const node = await call(adminApi.getNode, { params: { id: nodeId } });
      return node.status === "online";
    });
  return agents;
}

function startAgent(url: URL, entry: string, name: string, token: string): ChildProcess {
  const place = path.join(home, ".agents", name);
  const tokenFile = path.join(place, "token");
  mkdirSync(place, { recursive: true, mode: 0o700 });
  writeFileSync(tokenFile, token, { mode: 0o600 });
  // Five servers on one machine: each says a name of its own.
  const named = `import os from "node:os"; import { syncBuiltinESMExports } from "node:module";
    os.hostname = () => "${name}.example.com"; syncBuiltinESMExports();`;
  const preload = `data:text/javascript,${encodeURIComponent(named)}`;
  const run = [
    "run",
    "--master",
    url.href,
    "--token-file",
    tokenFile,
    "--state-dir",
    path.join(place, "state"),
  ];
  return spawn(process.execPath, ["--import", preload, entry, ...run], {
    env: { PATH: process.env.PATH ?? "", HOME: place },
    stdio: "ignore",
  });
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

const at = (server: Server, ...parts: string[]) => path.join(home, server, ...parts);

function makeFiles(server: Server): void {
  const folders = {
    "shop-1": [
      "var/www/shop/pages",
      "var/www/shop/pictures",
      "var/www/shop/themes/autumn",
      "etc/nginx/sites",
    ],
    "shop-2": ["var/www/shop/pages", "etc/nginx/sites"],
    "db-1": ["var/lib/orders"],
    "files-1": [
      "srv/documents/contracts/2025",
      "srv/documents/contracts/2026",
      "srv/documents/invoices",
      "srv/archive-2019",
    ],
    "mail-1": ["srv/mail/info", "srv/mail/sales"],
  }[server];
  for (const [index, folder] of folders.entries()) {
    mkdirSync(at(server, folder), { recursive: true });
    for (let n = 1; n <= 12 + index * 7; n++)
      writeFileSync(at(server, folder, `${path.basename(folder)}-${n}.dat`), letters(20_000 + n * 1500));
  }
  if (server !== "db-1") return;
  const db = new DatabaseSync(at("db-1", "var/lib/orders/orders.sqlite"));
  db.exec("create table orders (id integer primary key, customer text, cents integer)");
  db.exec(
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000) insert into orders select i, 'customer ' || i, i * 7 from n",
  );
  db.close();
}

/** Text that is neither all alike nor noise, as most files are. */
const letters = (bytes: number) =>
  Array.from({ length: bytes / 8 }, () => Math.random().toString(36).slice(2, 6).padEnd(8)).join("");

async function live(master: Master, call: Administrator["call"], agents: Agents): Promise<Demo["ids"]> {
  const node = (server: Server) => (agents.get(server) as Agent).nodeId;
  const target = async (body: Parameters<typeof call<typeof adminApi.createTarget>>[1]) =>
    (await call(adminApi.createTarget, body)).id;
  const vault = await target({ body: { name: "Vault", type: "vault", quotaBytes: 2_000_000_000 } });
  const disk = await target({
    body: { name: "Disk of files-1", type: "local_disk", config: { path: at("files-1", "backups") } },
  });
  const recipient = await identityToRecipient(await generateX25519Identity());
  const file = (server: Server, ...paths: string[]) => ({
    type: "file" as const,
    paths: paths.map((one) => at(server, one)),
  });
  const daily = { timeZone: "Europe/Berlin", retention: { keepDaily: 14, keepMonthly: 12 } };
  const task = async (body: Parameters<typeof call<typeof adminApi.createTask>>[1]) =>
    (await call(adminApi.createTask, body)).id;
  const shop = await task({
    body: {
      name: "Shop: pages and pictures",
      nodeId: node("shop-1"),
      source: { ...file("shop-1", "var/www/shop"), excludes: ["*.tmp", "cache/"] },
      targetIds: [vault],
      schedule: "15 2 * * *",
      tags: ["shop"],
      verification: { grade: 3, schedule: "0 5 * * sun" },
      ...daily,
    },
  });
  const orders = await task({
    body: {
      name: "Orders",
      nodeId: node("db-1"),
      source: { type: "sqlite", paths: [at("db-1", "var/lib/orders/orders.sqlite")] },
      targetIds: [vault],
      schedule: "0 * * * *",
      tags: ["shop"],
      ...daily,
    },
  });
  const documents = await task({
    body: {
      name: "Documents of the office",
      nodeId: node("files-1"),
      source: file("files-1", "srv/documents"),
      targetIds: [vault, disk],
      pipeline: { differential: { fullEveryDays: 7 } },
      schedule: "30 22 * * mon-fri",
      tags: ["office"],
      ...daily,
    },
  });
  const mail = await task({
    body: {
      name: "Mail",
      nodeId: node("mail-1"),
      source: file("mail-1", "srv/mail"),
      targetIds: [vault],
      pipeline: { encryption: { recipients: [recipient] } },
      schedule: "0 3 * * *",
      tags: ["office"],
      ...daily,
    },
  });
  const config = await task({
    body: {
      name: "Configuration of the web servers",
      poolLabel: "web",
      source: file("shop-2", "etc/nginx"),
      targetIds: [vault],
      schedule: "0 4 * * sun",
      tags: ["shop"],
      ...daily,
    },
  });
  const archive = await task({
    body: {
      name: "Archive of 2019",
      nodeId: node("files-1"),
      source: file("files-1", "srv/archive-2019"),
      targetIds: [disk],
      schedule: "0 1 1 * *",
      tags: ["office"],
      ...daily,
    },
  });
  void config;

  const run = async (taskId: number) => {
    const { recordId } = await call(adminApi.runTask, { params: { id: taskId } });
    return until("a backup to end", async () => {
      const record = await call(adminApi.getRecord, { params: { id: recordId } });
      return ["queued", "running"].includes(record.status) ? null : record;
    });
  };
  let record = 0;
  for (let day = DAYS; day >= 0; day--) {
    appendFileSync(at("shop-1", "var/www/shop/pictures/pictures-1.dat"), letters(90_000));
    writeFileSync(at("files-1", `srv/documents/invoices/day-${day}.dat`), letters(60_000));
    const made = await Promise.all([shop, orders, documents, mail].map(run));
    if (day % 7 === 0) made.push(await run(archive));
    record = made[0]?.id ?? 0;
    await moveBack(
      master,
      made.map(({ id }) => id),
      day,
    );
  }
  rmSync(at("files-1", "srv/archive-2019"), { recursive: true });
  const failed = (await run(archive)).id;
  await call(adminApi.verifyRecord, { params: { id: record }, body: { grade: 3 } });
  const { restoreId } = await call(adminApi.restoreRecord, {
    params: { id: record },
    body: { destination: at("shop-1", "restored"), selectedPaths: [at("shop-1", "var/www/shop/pages")] },
  });
  await until("the restore to end", async () => {
    const restore = await call(adminApi.getRestore, { params: { id: restoreId } });
    return !["queued", "running"].includes(restore.status);
  });
  await call(adminApi.lockRecord, { params: { id: record }, body: { locked: true } });
  await (agents.get("mail-1") as Agent).end();
  const running = await runSlowly(call, node("shop-2"), vault);
  await until("mail-1 to be seen offline", async () => {
    await master.sweep();
    return (await call(adminApi.getNode, { params: { id: node("mail-1") } })).status === "offline";
  });
  return { node: node("shop-1"), task: shop, record, failed, running, restore: restoreId, target: vault };
}

/** A backup that is still going on while the pictures are taken. */
async function runSlowly(call: Administrator["call"], nodeId: number, targetId: number): Promise<number> {
  mkdirSync(at("shop-2", "var/log/shop"), { recursive: true });
  for (let n = 1; n <= 40; n++)
    writeFileSync(at("shop-2", "var/log/shop", `access-${n}.log`), letters(1_000_000));
  const task = await call(adminApi.createTask, {
    body: {
      name: "Logs",
      nodeId,
      source: { type: "file", paths: [at("shop-2", "var/log/shop")] },
      targetIds: [targetId],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 60_000 },
      tags: ["shop"],
    },
  });
  const { recordId } = await call(adminApi.runTask, { params: { id: task.id } });
  return recordId;
}

/** As if they had been made that many days earlier, and counted then. */
async function moveBack({ DB }: Master, recordIds: number[], days: number): Promise<void> {
  if (days === 0) return;
  for (const id of recordIds)
    await DB.prepare(
      "update backup_records set created_at = created_at - ?1, started_at = started_at - ?1, finished_at = finished_at - ?1 where id = ?2",
    )
      .bind(days * DAY_MS, id)
      .run();
  await DB.prepare("update daily_counts set day = day - ?1 where day = ?2")
    .bind(days, Math.floor(Date.now() / DAY_MS))
    .run();
}
