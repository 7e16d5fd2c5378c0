import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { TEST_MS } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

describeWith(["chromium"], "the dashboard, what is told and what is found", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  async function aRunningNode(name: string) {
    const machine = await console.world.machine(onTestFinished, { name });
    machine.start();
    await console.world.online(machine);
    return machine;
  }

  test("leads a new master to its first backup, each step ticked as it happens, and says when all is safe", async () => {
    const { world } = console;
    await console.visit("admin", {}, async (page) => {
      const steps = page.getByRole("region", { name: "Get to the first backup" });
      const next = steps.locator("[aria-current=step]");
      await next.getByRole("link", { name: "Add a server" }).waitFor();
      await expectAccessible(page);
      const machine = await aRunningNode("first");
      await next.getByRole("link", { name: "Add a storage target" }).waitFor();
      const target = await world.target("vault");
      await next.getByRole("link", { name: "Create a backup task" }).waitFor();
      const task = await world.task(machine, {
        name: "first task",
        source: { type: "file", paths: [sourceFolder(machine, 16)] },
        targetIds: [target],
      });
      await next.getByRole("link", { name: "Run it once" }).waitFor();
      await world.run(task);
      await page.getByText("first task: backed up").waitFor();
      await page.getByRole("heading", { name: "Everything is safe" }).waitFor();
      expect(await steps.count()).toBe(0);
      await page.getByText("1 succeeded, 0 failed, 0 missed").waitFor();
      await page.getByText("As a table").first().click();
      await expectAccessible(page);
      await page.getByRole("link", { name: "Verify: first task" }).click();
      await page.waitForURL(/\/records\/\d+$/);
    });
  });

  test("tells of a run that fails elsewhere until one looks, and names it first", async () => {
    const { world } = console;
    const machine = await aRunningNode("failing");
    const folder = path.join(machine.folder, "gone");
    mkdirSync(folder);
    const task = await world.task(machine, {
      name: "fails",
      source: { type: "file", paths: [folder] },
      targetIds: [await world.target("vault")],
    });
    rmSync(folder, { recursive: true });
    await console.visit("viewer", { path: "/nodes" }, async (page) => {
      await page.getByRole("link", { name: "failing" }).waitFor();
      const { recordId } = await world.run(task);
      const toast = page.getByRole("alert").filter({ hasText: "fails: the backup failed" });
      await toast.waitFor();
      await expectAccessible(page);
      await page.goto("/");
      await page.getByRole("heading", { name: "Backups are not as they should be" }).waitFor();
      await page.getByRole("link", { name: "See why: fails" }).click();
      await page.waitForURL(`**/records/${recordId}`);
    });
    const look = { dark: true, phone: true, language: "zh" } as const;
    await console.visit("viewer", look, async (page) => {
      await page.getByRole("heading", { name: "备份状况异常" }).waitFor();
      await expectAccessible(page);
      await expectFits(page);
    });
  });

  test("finds a node and a backup from the keyboard, and offers only what one may do", async () => {
    const machine = await aRunningNode("palette-node");
    await console.visit("operator", {}, async (page) => {
      await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
      await page.keyboard.press("Control+k");
      const palette = page.getByRole("dialog");
      await palette.getByText("Create a backup task").waitFor();
      expect(await palette.getByText("Add a server").count()).toBe(0);
      await page.keyboard.type("PALETTE");
      await palette.getByText("palette-node").waitFor();
      await expectAccessible(page);
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(`**/nodes/${machine.nodeId}`);
    });
  });

  test("tells of a node that went, at the bell, and leads to it", async () => {
    const { world } = console;
    const machine = await world.machine(onTestFinished, { name: "goes away" });
    await console.visit("viewer", {}, async (page) => {
      await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
      await world.change(
        "update nodes set connection = 'poll', status = 'online', last_seen = 5 where id = ?",
        machine.nodeId,
      );
      await world.sweep();
      await page.getByRole("region", { name: "Nodes that are offline" }).getByText("goes away").waitFor();
      await page.getByRole("button", { name: /Notifications, \d+ new/ }).click();
      await expectAccessible(page);
      await page.getByRole("button", { name: /goes away: no sign of life/ }).click();
      await page.waitForURL(`**/nodes/${machine.nodeId}`);
      await page.getByRole("button", { name: "Notifications", exact: true }).waitFor();
    });
  });
});
