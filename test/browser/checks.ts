import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Axe finds nothing serious or critical on the page as it is now. */
export async function expectAccessible(page: Page): Promise<void> {
  await settled(page);
  // Evaluated by the debugger, which the page's Content-Security-Policy does not bind.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const found = serious.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  );
  expect(found, `axe on ${page.url()}`).toEqual([]);
}

/** The page fits into its window's width: there is nothing to scroll to sideways. */
export async function expectFits(page: Page): Promise<void> {
  await settled(page);
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const isTooWide = (element: Element) => element.getBoundingClientRect().right > width + 1;
    return [...document.querySelectorAll("body *")].filter(isTooWide).map((e) => e.outerHTML.slice(0, 160));
  });
  expect(wide, `wider than the window, on ${page.url()}`).toEqual([]);
}

/**
 * Nothing on a page in Chinese is still said in English. `data` are texts that people or machines have written: they,
 * logs and commands may be in any language.
 */
export async function expectTranslated(page: Page, data: readonly string[] = []): Promise<void> {
  await settled(page);
  const texts = await page.evaluate(() => {
    const said = (element: Element) =>
      ["title", "placeholder", "aria-label", "alt"].map((name) => element.getAttribute(name) ?? "");
    const own = (element: Element) =>
      [...element.childNodes]
        .filter(({ nodeType }) => nodeType === 3)
        .map(({ textContent }) => textContent ?? "");
    return [...document.querySelectorAll("body *")]
      .filter(
        (element) => element.checkVisibility() && !element.closest("code, pre, .log-row, style, script"),
      )
      .flatMap((element) => [...said(element), ...own(element)]);
  });
  const names = [...data, "Google Cloud Storage"];
  const translated = texts.map((text) => names.reduce((rest, name) => rest.replaceAll(name, ""), text));
  const english = translated.filter((text) => /[a-z]{2,}([ ,.:]+[a-z]{2,}){2,}/i.test(text));
  expect(english, `English on ${page.url()}`).toEqual([]);
}

/** Nothing is being loaded, and nothing moves. */
async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector('[role="status"][aria-label] > .mantine-Loader-root') === null,
  );
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter(({ effect }) => effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY)
        .map(({ finished }) => finished.catch(() => {})),
    ),
  );
}
