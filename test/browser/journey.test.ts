import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TEST_MS, until } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits, expectTranslated } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";
import { paste } from "./pasted-command.ts";

// What an operator does who has never seen it: adds a server, backs it up, restores it. Each test goes on from the last.
describeWith(["chromium", "npx"], "from an empty console to a restored file", () => {
  const ends: (() => Promise<void>)[] = [];
  const wanted = randomBytes(200_000);
  let console: Console;
  let home: string;
  let taskPage: string;
  let recordPage: string;
  beforeAll(async () => {
    console = await startConsole();
    await console.world.target("vault");
  }, TEST_MS);
  afterAll(async () => {
    for (const end of ends) await end();
    await console?.close();
  }, TEST_MS);

  test("a server is added by the very command that the page shows", async () => {
    await console.visit("admin", { path: "/nodes" }, async (page) => {
      await page.getByRole("link", { name: "Add a node" }).first().click();
      await page.getByRole("textbox", { name: "Name" }).fill("shop-1");
      await expectAccessible(page);
      await page.getByRole("button", { name: "Continue" }).click();
      const command = page.getByRole("region", { name: "Command" });
      await command.waitFor();
      await page.getByText("Waiting for shop-1 to connect").waitFor();
      await expectAccessible(page);
      const pasted = paste(await command.innerText(), (end) => ends.push(end));
      home = pasted.home;
      await until("the agent to say that it runs", () => pasted.output().includes("socket open"), {
        seen: pasted.output,
      });
      await page.getByText("shop-1 is online").waitFor();
      await expectAccessible(page);
    });
  });

  test("a task is made with the directory picker, for the server just added", async () => {
    const data = path.join(home, "shop", "pictures");
    mkdirSync(data, { recursive: true });
    writeFileSync(path.join(data, "wanted.bin"), wanted);
    writeFileSync(path.join(data, "other.bin"), randomBytes(1000));
    chmodSync(home, 0o755);
    await console.visit("operator", { path: "/tasks/new" }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("Shop pictures");
      await page.getByRole("combobox", { name: "Node" }).click();
      await page.getByRole("option", { name: /shop-1/ }).click();
      await page.getByRole("button", { name: "Browse the node" }).click();
      const listed = (where: string) => page.getByRole("list", { name: `What is in ${where}` });
      await listed("/").waitFor();
      await page.getByPlaceholder("Filter, or type a path").fill(home);
      await page.keyboard.press("Enter");
      await listed(home).getByRole("button", { name: "shop" }).click();
      await listed(path.join(home, "shop")).waitFor();
      await page.getByRole("checkbox", { name: `Choose ${data}` }).check();
      await expectAccessible(page);
      await page.getByRole("combobox", { name: "Storage" }).click();
      await page.getByRole("option", { name: /vault/ }).click();
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Create the task" }).click();
      await page.getByRole("heading", { level: 1, name: "Shop pictures" }).waitFor();
      taskPage = new URL(page.url()).pathname;
      await expectAccessible(page);
    });
  });

  test("it is run, and watched until it has succeeded", async () => {
    await console.visit("operator", { path: taskPage }, async (page) => {
      await page.getByRole("button", { name: "Back up now" }).click();
      await page.waitForURL("**/records/*");
      recordPage = new URL(page.url()).pathname;
      await page.getByRole("main").getByText("success", { exact: true }).first().waitFor();
      await expectAccessible(page);
      await page.getByRole("tab", { name: "Log" }).click();
      await expectAccessible(page);
    });
  });

  test("a file of it is restored elsewhere, and is byte for byte the same", async () => {
    const destination = path.join(home, "restored");
    await console.visit("operator", { path: recordPage }, async (page) => {
      await page.getByRole("tab", { name: "Contents" }).click();
      await page.getByRole("checkbox", { name: /wanted\.bin/ }).check();
      await page.getByRole("button", { name: "Restore 1 chosen path" }).click();
      await page.getByRole("button", { name: "Next" }).click();
      await page.getByText("Into another folder").click();
      await page.getByLabel("Folder on that node").fill(destination);
      await expectAccessible(page);
      await page.getByRole("button", { name: "Next" }).click();
      await page.getByRole("button", { name: "Next" }).click();
      await page.getByRole("button", { name: "Restore now" }).click();
      await page.getByRole("main").getByText("success", { exact: true }).first().waitFor();
      await expectAccessible(page);
    });
    const restored = path.join(destination, home, "shop", "pictures", "wanted.bin");
    expect(readFileSync(restored).equals(wanted)).toBe(true);
  });

  test("all of it can be read on a phone, in Chinese", async () => {
    for (const at of ["/", "/nodes", "/nodes/1", "/tasks", taskPage, "/records", recordPage, "/restores"])
      await console.visit("viewer", { path: at, phone: true, language: "zh", dark: true }, async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        await expectFits(page);
        await expectAccessible(page);
        await expectTranslated(page, ["Shop pictures"]);
      });
  });
});
