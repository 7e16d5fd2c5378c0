// Makes docs/images/: every page of the console, light, dark and on a phone, over a master with agents that have really
// backed up, failed, verified and restored. Needs a Chromium.
//
//   node scripts/with-node.mjs scripts/screenshots.ts [--many] [page ...]
//
// --many: pictures to look at, not to keep: a fleet of 500 nodes, long names and much that is wrong, each page to its end.
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import type { Browser, Cookie, Page } from "playwright-core";
import { launchChromium } from "./chromium.ts";
import { type Demo, startDemo } from "./screenshots/demo.ts";
import { startMany } from "./screenshots/many.ts";
import { type Shot, shots, shotsOfMany } from "./screenshots/shots.ts";

const { values, positionals: wanted } = parseArgs({
  options: { many: { type: "boolean", default: false } },
  allowPositionals: true,
});
const { many } = values;
const folder = many
  ? path.join(tmpdir(), "backupx-many")
  : path.resolve(import.meta.dirname, "../docs/images");
const looks = [
  { name: "light", size: { width: 1280, height: 800 }, scale: 1.25, dark: false },
  { name: "dark", size: { width: 1280, height: 800 }, scale: 1.25, dark: true },
  { name: "phone", size: { width: 390, height: 844 }, scale: 1.5, dark: false },
] as const;
/** Of WebP: text is still sharp, and a page is some 50 KB. */
const QUALITY = 78;
/** Of a whole page: what is longer is shown too small to see anything. */
const LONGEST = 2_600;

const demo = await (many ? startMany() : startDemo());
const browser = await launchChromium();
try {
  if (wanted.length === 0) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const shot of (many ? shotsOfMany(demo) : shots(demo)).filter(
    ({ name }) => wanted.length === 0 || wanted.includes(name),
  ))
    for (const look of looks) await take(browser, demo, shot, look);
} finally {
  await browser.close();
  await demo.stop();
}

async function take(browser: Browser, demo: Demo, shot: Shot, look: (typeof looks)[number]): Promise<void> {
  const context = await browser.newContext({
    baseURL: shot.url?.href ?? demo.url.href,
    viewport: look.size,
    deviceScaleFactor: look.scale,
    colorScheme: look.dark ? "dark" : "light",
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
  });
  try {
    const cookies: Cookie[] = shot.stranger ? [] : demo.cookies;
    await context.addCookies(cookies);
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    await page.goto(shot.path);
    await page.locator("h1").first().waitFor();
    await settle(page);
    await shot.act?.(page);
    await settle(page);
    await write(page, `${shot.name}-${look.name}`);
  } catch (error) {
    console.error(`${shot.name}-${look.name}: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    await context.close();
  }
}

/** What is asked of agents arrives later than the page. */
async function settle(page: Page): Promise<void> {
  await page
    .locator('main [role="status"][aria-label] > .mantine-Loader-root')
    .first()
    .waitFor({ state: "detached" })
    .catch(() => {});
  await page.evaluate("document.fonts.ready");
  await page.waitForTimeout(400);
}

async function write(page: Page, name: string): Promise<void> {
  if (many) await showWhole(page);
  const session = await page.context().newCDPSession(page);
  // What is only looked at is in a format that everything shows.
  const format = many ? ({ format: "png" } as const) : ({ format: "webp", quality: QUALITY } as const);
  const { data } = await session.send("Page.captureScreenshot", format);
  const file = path.join(folder, `${name}.${format.format}`);
  writeFileSync(file, Buffer.from(data, "base64"));
  console.log(`${path.basename(file)} ${Math.round(statSync(file).size / 1024)} KiB`);
}

/** Makes the window as long as what it shows, and tells of a page that is wider than its window. */
async function showWhole(page: Page): Promise<void> {
  const { width, height } = page.viewportSize() as { width: number; height: number };
  const [wide, long] = await page.evaluate<[number, number]>(
    "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]",
  );
  if (wide > width) {
    console.error(`${page.url()} is ${wide - width} px wider than its window of ${width} px`);
    process.exitCode = 1;
  }
  await page.setViewportSize({ width, height: Math.min(Math.max(height, long), LONGEST) });
  await page.waitForTimeout(400);
}
