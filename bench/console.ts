// What the console's lists cost with 5,000 nodes, 20,000 tasks and 1,000,000 records, and how long its pages take.
// Rows are those that the database counts for each call; a list is constant when ten times the history reads as many.
//
//   node scripts/with-node.mjs bench/console.ts            (about 10 minutes; --quick: a tenth of everything)
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Cookie, Page } from "playwright-core";
import type { z } from "zod";
import { adminApi, type Endpoint } from "../protocol/index.ts";
import { launchChromium } from "../scripts/chromium.ts";
import { freePort, type LocalMaster, startLocalMaster } from "../scripts/local-master.ts";
import { signIn } from "../scripts/sign-in.ts";
import { type Size, writeHistory } from "./history.ts";
import { caller } from "./master.ts";

const SCRIPT = path.resolve(import.meta.dirname, "../test/worker/counted-master.ts");
const factor = process.argv.includes("--quick") ? 0.1 : 1;
const full: Size = { nodes: 5_000 * factor, tasks: 20_000 * factor, records: 1_000_000 * factor };
const tenth: Size = { nodes: full.nodes / 10, tasks: full.tasks / 10, records: full.records / 10 };
/** What no index knows is looked for in a thousand rows and what belongs to them; more a page never reads. */
const MOST = 3_500;
const CALLS = 7;
const VISITS = 7;
const DAY_MS = 86_400_000;

/** What is asked of filters that are not a choice among few. */
const samples: Record<string, Query[]> = {
  nodeId: [{ nodeId: 7 }],
  taskId: [{ taskId: 7 }],
  recordId: [{ recordId: 7 }],
  targetId: [{ targetId: 1 }],
  label: [{ label: "database" }],
  tag: [{ tag: "weekly" }],
  text: [{ text: "00042" }],
  from: [{ from: Date.now() - 40 * DAY_MS }],
  until: [{ until: Date.now() - 400 * DAY_MS }],
  actor: [{ actor: "admin" }],
  action: [{ action: "task.update" }],
  entity: [],
  entityId: [{ entity: "task", entityId: 7 }],
};

type Query = Record<string, string | number>;
type List = { name: string; e: Endpoint; query: Query };
type Cost = { rows: number; ms: number; items: number };

const folder = mkdtempSync(path.join(os.tmpdir(), "backupx-bench-console-"));
process.once("SIGINT", () => process.exit(130));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
await main();

async function main(): Promise<void> {
  const stateDir = path.join(folder, "master");
  const port = await freePort(8960);
  const who = { username: "bench", password: randomBytes(16).toString("hex") };
  const start = () => startLocalMaster({ stateDir, port, script: SCRIPT });
  const lists = everyList();

  const first = await start();
  await caller(first.url, {})(adminApi.setup, { body: who });
  const cookies = await signIn(first.url, who);
  const admin = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  await caller(first.url, { Cookie: admin })(adminApi.createTarget, {
    body: { name: "vault", type: "vault" },
  });
  await first.stop();

  const costs: Map<string, Cost>[] = [];
  const sizes = [tenth, full];
  for (const [index, size] of sizes.entries()) {
    const began = Date.now();
    writeHistory(stateDir, sizes[index - 1] ?? { nodes: 0, tasks: 0, records: 0 }, size);
    console.error(`${size.records} records written in ${Math.round((Date.now() - began) / 1000)} s`);
    await running(start, async ({ url }) => costs.push(await measureLists(url, admin, lists)));
  }
  reportLists(lists, costs as [Map<string, Cost>, Map<string, Cost>]);
  await running(start, ({ url }) => measurePages(url, cookies));
  console.log(
    `\nload average ${os
      .loadavg()
      .map((load) => load.toFixed(1))
      .join(", ")} on ${os.cpus().length} cores`,
  );
}

async function running(start: () => Promise<LocalMaster>, act: (master: LocalMaster) => Promise<unknown>) {
  const master = await start();
  try {
    await act(master);
  } finally {
    await master.stop();
  }
}

/** Every call that is paged by key: as it is, with each filter, and each choice of a filter. */
function everyList(): List[] {
  return Object.entries<Endpoint>(adminApi).flatMap(([call, e]) => {
    const shape = (e.query as z.ZodObject).shape ?? {};
    if (e.method !== "GET" || !("before" in shape)) return [];
    const noun = call.replace(/^list/, "").toLowerCase();
    const filters = Object.keys(shape).filter((key) => key !== "before" && key !== "limit");
    return [
      { name: noun, e, query: {} },
      ...filters
        .flatMap((key) => samples[key] ?? choicesAsked(key, shape[key] as z.ZodType))
        .map((query) => ({ name: `${noun}, ${Object.entries(query).flat().join(" ")}`, e, query })),
    ];
  });
}

function choicesAsked(key: string, type: z.ZodType): Query[] {
  const choices = choicesOf(type);
  if (choices.length === 0) throw new Error(`say in bench/console.ts what to ask of the filter ${key}`);
  return choices.map((choice) => ({ [key]: choice }));
}

function choicesOf(type: z.ZodType): string[] {
  const { options, def } = type as unknown as {
    options?: string[];
    def: { innerType?: z.ZodType; in?: z.ZodType };
  };
  const inner = def.innerType ?? def.in;
  return options ?? (inner ? choicesOf(inner) : []);
}

async function measureLists(url: string, cookie: string, lists: List[]): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost>();
  for (const { name, e, query } of lists) {
    const page = await ask(url, cookie, e, query);
    costs.set(name, page);
    // Half way back; a list that is ordered by id has its middle there.
    const newest = page.newest ?? 0;
    costs.set(
      `${name}, far`,
      await ask(url, cookie, e, { ...query, before: Math.max(1, Math.floor(newest / 2)) }),
    );
  }
  return costs;
}

async function ask(url: string, cookie: string, e: Endpoint, query: Query) {
  const search = new URLSearchParams(
    Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]),
  );
  const times: number[] = [];
  let rows = 0;
  let items: { id?: number }[] = [];
  for (let n = 0; n < CALLS; n++) {
    const began = performance.now();
    const answer = await fetch(`${url}${e.path}?${search}`, { headers: { Cookie: cookie } });
    const { data, message } = (await answer.json()) as { data: { items: typeof items }; message: string };
    times.push(performance.now() - began);
    if (!answer.ok) throw new Error(`${e.path}?${search}: ${message}`);
    rows = Number(answer.headers.get("x-rows-read"));
    items = data.items;
  }
  return { rows, ms: median(times), items: items.length, newest: items[0]?.id };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function reportLists(lists: List[], [small, large]: [Map<string, Cost>, Map<string, Cost>]): void {
  console.log(`rows read for a page of 50, at a tenth -> at ${JSON.stringify(full)}\n`);
  console.log("| list | first page | far back | first page | far back | |");
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const { name } of lists) {
    const of = (costs: Map<string, Cost>, key: string) => costs.get(key) as Cost;
    const rows = (key: string) => `${of(small, key).rows} -> ${of(large, key).rows}`;
    const ms = (key: string) => `${of(large, key).ms.toFixed(0)} ms`;
    const isDear = [name, `${name}, far`].some((key) => of(large, key).rows > MOST);
    const cells = [
      name,
      rows(name),
      rows(`${name}, far`),
      ms(name),
      ms(`${name}, far`),
      isDear ? "TOO MANY" : "",
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

async function measurePages(url: string, cookies: Cookie[]): Promise<void> {
  const browser = await launchChromium();
  const places = ["/", "/nodes", "/tasks", "/records"];
  const cold = new Map<string, number[]>();
  const change = new Map<string, number[]>();
  const note = (map: Map<string, number[]>, place: string, ms: number) =>
    map.set(place, [...(map.get(place) ?? []), ms]);
  let transferred = "";
  for (let visit = 0; visit < VISITS; visit++) {
    for (const place of places) {
      // A new context has nothing in its cache.
      const context = await browser.newContext({ baseURL: url, locale: "en-GB" });
      await context.addCookies(cookies);
      const page = await context.newPage();
      const began = performance.now();
      await page.goto(place, { waitUntil: "commit" });
      await shown(page);
      note(cold, place, performance.now() - began);
      if (place === "/") transferred = await loadedScripts(page);
      for (const next of places.filter((other) => other !== place)) {
        const clicked = performance.now();
        await page.locator(`nav a[href="${next}"]`).click();
        await page.waitForURL(`**${next}`);
        await shown(page);
        note(change, next, performance.now() - clicked);
      }
      await context.close();
    }
  }
  await browser.close();
  console.log(`first load of the dashboard: ${transferred}\n`);
  console.log("| page | first load, nothing cached | changed to |");
  console.log("| --- | --- | --- |");
  for (const place of places)
    console.log(
      `| ${place} | ${median(cold.get(place) ?? []).toFixed(0)} ms | ${median(change.get(place) ?? []).toFixed(0)} ms |`,
    );
  console.log();
}

/** The page stands with its content: a heading, and nothing that still waits. */
async function shown(page: Page): Promise<void> {
  await page.locator("h1").waitFor();
  await page
    .locator('main [role="status"][aria-label] > .mantine-Loader-root')
    .first()
    .waitFor({ state: "detached" });
}

function loadedScripts(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const all = performance.getEntriesByType("resource");
    const scripts = all.filter(({ name }) => name.endsWith(".js"));
    const sum = (entries) => Math.round(entries.reduce((bytes, { encodedBodySize }) => bytes + encodedBodySize, 0) / 1000);
    return scripts.length + " scripts of " + sum(scripts) + " kB as sent, " + all.length + " requests in all";
  })()`);
}
