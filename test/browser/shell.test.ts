import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

describeWith(["chromium"], "around every page", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  const title = (page: Page, name: string) => page.getByRole("heading", { level: 1, name }).waitFor();

  /** Presses Tab until what has the focus is called so. */
  async function tabTo(page: Page, name: RegExp): Promise<void> {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const { ariaLabel, textContent } = document.activeElement as HTMLElement;
        return ariaLabel ?? textContent ?? "";
      });
      if (name.test(focused)) return;
    }
    throw new Error(`Tab does not lead to ${name}`);
  }

  test("one gets everywhere by keyboard alone, and sees where one is", async () => {
    await console.visit("admin", {}, async (page) => {
      await title(page, "Dashboard");
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
      await page.keyboard.press("Enter");
      expect(await page.evaluate(() => document.activeElement?.id)).toBe("content");

      await page.goto("/");
      await title(page, "Dashboard");
      await tabTo(page, /^Nodes$/);
      const ring = await page.evaluate(
        () => getComputedStyle(document.activeElement as Element).outlineStyle,
      );
      expect(ring).not.toBe("none");
      await page.keyboard.press("Enter");
      await title(page, "Nodes");

      await page.keyboard.press("Control+k");
      const palette = page.getByRole("dialog");
      await palette.getByRole("textbox").waitFor();
      await expectAccessible(page);
      await page.keyboard.type("Records");
      await palette.getByText("Records", { exact: true }).first().waitFor();
      await page.keyboard.press("Enter");
      await title(page, "Records");

      await page.keyboard.press("Control+k");
      await palette.waitFor();
      await page.keyboard.press("Escape");
      await palette.waitFor({ state: "hidden" });
    });
  });

  test("what is looked for is found by any part of its name", async () => {
    await console.world.call(adminApi.createNode, { body: { name: "berlin-shop-7" } });
    await console.visit("viewer", {}, async (page) => {
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.keyboard.press("Control+k");
      const palette = page.getByRole("dialog");
      await palette.getByRole("textbox").fill("SHOP");
      await palette.getByText("berlin-shop-7").waitFor();
      await expectAccessible(page);
      await page.keyboard.press("Enter");
      await title(page, "berlin-shop-7");
    });
  });

  test("a form is filled and sent by keyboard alone", async () => {
    await console.visit("admin", { path: "/nodes" }, async (page) => {
      await title(page, "Nodes");
      await tabTo(page, /^Add a node$/);
      await page.keyboard.press("Enter");
      await page.getByRole("textbox", { name: "Name" }).waitFor();
      await page.keyboard.type("by-keyboard");
      await page.keyboard.press("Enter");
      await page.getByRole("region", { name: "Command" }).waitFor();
    });
  });

  test("language and appearance are switched in the menu, and stay", async () => {
    await console.visit("viewer", {}, async (page) => {
      const scheme = () => page.locator("html").getAttribute("data-mantine-color-scheme");
      const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await title(page, "Dashboard");
      const light = await background();
      await page.getByRole("button", { name: /^My account/ }).click();
      await expectAccessible(page);
      await page.getByRole("menuitem", { name: "Dark" }).click();
      expect(await scheme()).toBe("dark");
      expect(await background()).not.toBe(light);

      await page.getByRole("button", { name: /^My account/ }).click();
      await page.getByRole("menuitem", { name: "中文" }).click();
      await title(page, "总览");
      await page.reload();
      await title(page, "总览");
      expect(await scheme()).toBe("dark");
      expect(await page.locator("html").getAttribute("lang")).toBe("zh-CN");
      await expectAccessible(page);
    });
  });

  test("an address that leads nowhere says so", async () => {
    await console.visit("viewer", { path: "/no/such/page" }, async (page) => {
      await title(page, "There is no such page");
      await expectAccessible(page);
    });
  });

  test("on a phone the places are behind a button", async () => {
    await console.visit("viewer", { phone: true }, async (page) => {
      await title(page, "Dashboard");
      const nodes = page.getByRole("navigation", { name: "Menu" }).getByRole("link", { name: "Nodes" });
      expect(await nodes.isVisible()).toBe(false);
      await page.getByRole("button", { name: "Menu" }).click();
      await nodes.click();
      await title(page, "Nodes");
      await nodes.waitFor({ state: "hidden" });
    });
  });
});
