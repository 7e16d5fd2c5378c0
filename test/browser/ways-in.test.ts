import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../../scripts/chromium.ts";
import { type Master, startMaster } from "../e2e/master.ts";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { buildConsole } from "./built-console.ts";
import { expectAccessible, expectFits } from "./checks.ts";
import { PASSWORD } from "./console.ts";
import { visit } from "./visit.ts";

describeWith(["chromium"], "the ways in", () => {
  let master: Master;
  let browser: Browser;
  beforeAll(async () => {
    await buildConsole();
    [master, browser] = await Promise.all([startMaster(), launchChromium()]);
  }, TEST_MS);
  afterAll(async () => {
    await browser?.close();
    await master?.close();
  });

  const stranger = (look: Parameters<typeof visit>[3], act: Parameters<typeof visit>[4]) =>
    visit(browser, master.url, [], look, act);

  test("a new master asks for its first administrator, in the visitor's language", async () => {
    await stranger({ language: "zh", phone: true }, async (page) => {
      await page.getByRole("heading", { name: "欢迎" }).waitFor();
      expect(await page.locator("html").getAttribute("lang")).toBe("zh-CN");
      await expectAccessible(page);
      await expectFits(page);
      await page.getByText("English").click();
      await page.getByRole("heading", { name: "Welcome" }).waitFor();
      // The choice is kept for the next time.
      await page.reload();
      await page.getByRole("heading", { name: "Welcome" }).waitFor();
    });
  });

  test("what the master refuses stands at its field, and nothing typed is lost", async () => {
    await stranger({}, async (page) => {
      await page.getByLabel("User name").fill("no name");
      await page.getByLabel(/^Password/).fill(PASSWORD);
      await page.getByRole("button", { name: "administrator" }).click();
      await page.getByText("must be letters, digits").waitFor();
      expect(await page.getByLabel("User name").getAttribute("aria-invalid")).toBe("true");
      expect(await page.getByLabel("User name").inputValue()).toBe("no name");
      expect(await page.getByLabel(/^Password/).inputValue()).toBe(PASSWORD);
      await expectAccessible(page);
    });
  });

  test("the first administrator is made, signs out and signs in again", async () => {
    await stranger({ dark: true }, async (page) => {
      await expectAccessible(page);
      await page.getByLabel("User name").fill("admin");
      await page.getByLabel(/^Password/).fill(PASSWORD);
      await page.getByRole("button", { name: "administrator" }).click();
      await page.getByRole("navigation").waitFor();

      await page.getByRole("button", { name: "My account" }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();

      await page.getByLabel("User name").fill("admin");
      await page.getByLabel(/^Password/).fill("not the password");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("The user name or the password is wrong.").waitFor();
      expect(await page.getByLabel("User name").inputValue()).toBe("admin");

      await page.getByLabel(/^Password/).fill(PASSWORD);
      await page.keyboard.press("Enter");
      await page.getByRole("navigation").waitFor();
      // Scripts of the page cannot read what proves who they are.
      expect(await page.evaluate(() => document.cookie)).toBe("");
    });
  });
});
