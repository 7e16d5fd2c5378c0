import { mkdirSync, readdirSync, truncateSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import type { Machine } from "../e2e/machine.ts";
import { TEST_MS, until } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits, expectTranslated } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";
import { choose } from "./task-editor.ts";

describeWith(["chromium"], "the lists of restores and verifications", () => {
  let console: Console;
  let machine: Machine;
  const ends: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    console = await startConsole();
    machine = await console.world.machine((end) => ends.push(end), { name: "shop-1" });
    machine.start();
    await console.world.online(machine);
    await backUpAndUse("Pictures");
    await backUpAndUse("Mails");
  }, TEST_MS);
  afterAll(async () => {
    for (const end of ends) await end();
    await console?.close();
  });

  /** A backup that is restored once well and once in vain, then verified well, damaged, and found to be. */
  async function backUpAndUse(name: string) {
    const { world } = console;
    const disk = path.join(machine.folder, `disk-of-${name}`);
    mkdirSync(disk);
    const taskId = await world.task(machine, {
      name,
      source: { type: "file", paths: [sourceFolder(machine, 4, name)] },
      targetIds: [await world.target("local_disk", { path: disk })],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const params = { id };
    for (const status of ["success", "failed"]) {
      const body = { destination: path.join(machine.folder, `back-of-${name}`) };
      const { restoreId } = await world.call(adminApi.restoreRecord, { params, body });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status });
    }
    await verified(id, "success");
    const artifact = readdirSync(disk, { recursive: true, encoding: "utf8" }).find((file) =>
      /\.zst$/.test(file),
    );
    truncateSync(path.join(disk, String(artifact)), 100);
    await verified(id, "failed");
  }

  async function verified(recordId: number, status: string) {
    const { world } = console;
    await world.call(adminApi.verifyRecord, { params: { id: recordId }, body: {} });
    await until("the verification to end", async () => {
      const { items } = await world.call(adminApi.listVerifications, { query: { recordId, limit: 1 } });
      return items[0]?.status === status;
    });
  }

  const rows = (page: Page) => page.getByRole("main").getByRole("row");
  /** The head is one more. */
  const expectRows = (page: Page, count: number) =>
    until(`${count} rows`, async () => (await rows(page).count()) === count + 1, {
      seen: () => rows(page).allInnerTexts(),
    });

  test("restores are narrowed by state, task and node, which the address keeps", async () => {
    await console.visit("viewer", { path: "/restores" }, async (page) => {
      await expectRows(page, 4);
      await choose(page, "State", "failed");
      await expectRows(page, 2);
      await page.getByRole("combobox", { name: "Task" }).fill("ict");
      await page.getByRole("option", { name: "Pictures" }).click();
      await expectRows(page, 1);
      await choose(page, "Node", "shop-1");
      await expectAccessible(page);
      await page.reload();
      await expectRows(page, 1);
      expect(await page.getByRole("combobox", { name: "Task" }).inputValue()).toBe("Pictures");
      await choose(page, "State", "cancelled");
      await page.getByText("No restore matches").waitFor();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Clear filters" }).first().click();
      await expectRows(page, 4);
    });
  });

  test("verifications that found damage are told from others that failed", async () => {
    await console.visit("viewer", { path: "/verifications" }, async (page) => {
      await expectRows(page, 4);
      await choose(page, "State", "damaged");
      await expectRows(page, 2);
      await choose(page, "Task", "Mails");
      await expectRows(page, 1);
      await expectAccessible(page);
      await choose(page, "State", "failed");
      await page.getByText("No verification matches").waitFor();
      await choose(page, "State", "success");
      await expectRows(page, 1);
    });
  });

  test("both can be narrowed on a phone, in Chinese", async () => {
    for (const at of ["/restores?status=failed", "/verifications?status=damaged", "/restores?status=queued"])
      await console.visit("viewer", { path: at, phone: true, language: "zh", dark: true }, async (page) => {
        await page.getByRole("search").waitFor();
        await expectFits(page);
        await expectAccessible(page);
        await expectTranslated(page);
      });
  });
});
