import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, BrowserContext, Cookie, Page } from "playwright-core";
import { expect, vi } from "vitest";
import { TEST_MS } from "../e2e/until.ts";

// A browser beside a master and agents, on a machine that is busy with other tests.
vi.setConfig({ testTimeout: TEST_MS });

export type Look = {
  path?: string;
  language?: "en" | "zh";
  dark?: boolean;
  phone?: boolean;
  /** For what the test itself provokes, such as a master that cannot be reached. */
  expected?: RegExp;
};

const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 800 };
/** The master's refusals are answers, which the browser also writes down as failed loads. */
const refusal = /Failed to load resource: the server responded with a status of 4\d\d/;

/**
 * One person's browser, from its first page to its end. What goes wrong unseen fails the test as well: an error on the
 * console, a violated Content-Security-Policy, a request to another host. After a failure its message names the folder
 * with what was last seen.
 */
export async function visit(
  browser: Browser,
  url: URL,
  cookies: Cookie[],
  look: Look,
  act: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({
    baseURL: url.href,
    viewport: look.phone ? PHONE : DESK,
    hasTouch: look.phone === true,
    locale: look.language === "zh" ? "zh-CN" : "en-GB",
    colorScheme: look.dark ? "dark" : "light",
    reducedMotion: "reduce",
    acceptDownloads: true,
  });
  context.setDefaultTimeout(30_000);
  await context.addCookies(cookies);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await context.tracing.start({ snapshots: true });
  const page = await context.newPage();
  const problems = await watch(page, url, look.expected);
  try {
    await page.goto(look.path ?? "/");
    await act(page);
    expect(problems).toEqual([]);
  } catch (error) {
    throw withPlace(error, problems, await keep(context, page));
  } finally {
    await context.close();
  }
}

async function watch(page: Page, url: URL, expected: RegExp | undefined): Promise<string[]> {
  const problems: string[] = [];
  const note = (problem: string) => {
    if (!expected?.test(problem)) problems.push(problem);
  };
  page.on("console", (message) => {
    const isRefusal =
      refusal.test(message.text()) && new URL(message.location().url).pathname.startsWith("/api/");
    if (["error", "warning"].includes(message.type()) && !isRefusal) note(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`error: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith("http") && host !== url.host) note(`asked another host: ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      console.error(`violates the page's Content-Security-Policy: ${violatedDirective} ${blockedURI}`),
    );
  });
  return problems;
}

async function keep(context: BrowserContext, page: Page): Promise<string> {
  const name = (expect.getState().currentTestName ?? "page").replace(/[^\w]+/g, "-");
  const folder = path.join(tmpdir(), "backupx-browser", `${name}-${Date.now()}`);
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, "page.png") }).catch(() => {});
  await context.tracing.stop({ path: path.join(folder, "trace.zip") }).catch(() => {});
  return folder;
}

function withPlace(error: unknown, problems: string[], folder: string): Error {
  const seen = problems.length > 0 ? `\nthe browser said:\n${problems.join("\n")}` : "";
  const failed = error instanceof Error ? error : new Error(String(error));
  failed.message += `${seen}\nwhat was last seen: ${folder}`;
  return failed;
}
