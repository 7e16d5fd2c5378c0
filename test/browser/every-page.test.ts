import { afterAll, beforeAll, expect, test } from "vitest";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits, expectTranslated } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

/** Every page that has no object of its own; what is beneath them is looked at by the tests of their flows. */
const pages = [
  "/",
  "/nodes",
  "/nodes/new",
  "/tasks",
  "/tasks/new",
  "/records",
  "/restores",
  "/verifications",
  "/targets",
  "/targets/new",
  "/commands",
  "/audit",
  "/users",
  "/api-keys",
  "/settings",
  "/profile",
];

describeWith(["chromium"], "every page, empty,", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  test.for([
    ["light, in English", {}],
    ["dark, in Chinese", { dark: true, language: "zh" }],
    ["on a phone, in English", { phone: true }],
    ["on a phone, dark, in Chinese", { phone: true, dark: true, language: "zh" }],
  ] as const)("holds %s: nothing serious for axe, no scrolling sideways", async ([, look]) => {
    for (const path of pages)
      await console.visit("admin", { ...look, path }, async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        const isChinese = "language" in look;
        expect(await page.locator("html").getAttribute("lang")).toBe(isChinese ? "zh-CN" : "en");
        expect(await page.getByText(/There is no such page|没有这个页面/).count()).toBe(0);
        await expectAccessible(page);
        await expectFits(page);
        if (isChinese) await expectTranslated(page);
      });
  });
});
