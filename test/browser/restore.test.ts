import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TEST_MS } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

describeWith(["chromium"], "what was backed up comes back", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  const next = (page: Page) => page.getByRole("button", { name: "Next", exact: true }).click();

  test("one file, found in the archive, tried first, restored elsewhere", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const folder = sourceFolder(machine, 4);
    const wanted = path.join(folder, "the wanted one.txt");
    writeFileSync(wanted, "these bytes, and no others\n");
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [folder] },
      targetIds: [await world.target("vault")],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const destination = path.join(path.dirname(folder), "restored");
    await console.visit("operator", { path: `/records/${id}` }, async (page) => {
      await page.getByRole("link", { name: "Restore", exact: true }).click();
      await page.getByText("Only what I choose").click();
      await page.getByRole("textbox", { name: /Search everywhere/ }).fill("WANTED");
      await page.getByRole("checkbox", { name: `Choose ${wanted}` }).check();
      await expectAccessible(page);
      await next(page);
      await page.getByText("Into another folder").click();
      await next(page);
      await page.getByText("Enter an absolute path.").waitFor();
      await expectAccessible(page);
      await page.getByRole("textbox", { name: /Folder on that node/ }).fill(destination);
      await next(page);
      await expectAccessible(page);
      await next(page);
      await page.getByRole("button", { name: "Dry run", exact: true }).click();
      await page.getByRole("button", { name: /Create.*1 entry/ }).waitFor();
      expect(() => readFileSync(path.join(destination, wanted))).toThrow("ENOENT");
      await expectAccessible(page);
      await page.getByRole("button", { name: "Restore now" }).click();
      await page.waitForURL(/\/restores\/\d+$/);
      await page.getByRole("main").getByText("success").first().waitFor();
      await expectAccessible(page);
    });
    expect(readFileSync(path.join(destination, wanted), "utf8")).toBe("these bytes, and no others\n");
  });

  test("a backup is verified, locked against deletion, unlocked and deleted", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 4)] },
      targetIds: [await world.target("vault")],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    await console.visit("operator", { path: `/records/${id}` }, async (page) => {
      const choose = async (name: string) => {
        await page.getByRole("button", { name: "More actions" }).click();
        await page.getByRole("menuitem", { name, exact: true }).click();
      };
      await page.getByRole("button", { name: "Verify now" }).click();
      await expectAccessible(page);
      await page.getByRole("dialog").getByRole("button", { name: "Verify", exact: true }).click();
      await page.waitForURL(/\/verifications\/\d+$/);
      await page.getByText("it was read to its end").first().waitFor();
      await expectAccessible(page);
      await page.goto(`/records/${id}`);
      await page.getByText("3 · It was opened and read through").waitFor();
      await choose("Lock");
      await page.getByRole("main").getByText("locked", { exact: true }).waitFor();
      await page.getByRole("button", { name: "More actions" }).click();
      expect(await page.getByRole("menuitem", { name: "Delete" }).isDisabled()).toBe(true);
      await page.getByRole("menuitem", { name: "Unlock" }).click();
      await page.getByRole("main").getByText("locked", { exact: true }).waitFor({ state: "hidden" });
      await choose("Delete");
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.waitForURL(/\/records$/);
    });
    expect(await world.rows("select id from backup_records where id = ?", id)).toEqual([]);
  });

  test("a viewer sees a backup, and nothing to do with it", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 4)] },
      targetIds: [await world.target("vault")],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    await console.visit("viewer", { path: `/records/${id}`, phone: true }, async (page) => {
      await page.getByRole("heading", { name: "Copies" }).waitFor();
      for (const name of ["Restore", "Verify now", "More actions", "Add a copy", "Remove"])
        expect(await page.getByRole("main").getByRole("button", { name, exact: true }).count()).toBe(0);
      expect(await page.getByRole("tab", { name: "Contents" }).count()).toBe(0);
      await expectAccessible(page);
      await page.goto(`/records/${id}/restore`);
      await page.waitForURL(new RegExp(`/records/${id}$`));
    });
  });
});
