import { rmSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TEST_MS, until } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

describeWith(["chromium"], "what happens shows by itself", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  const main = (page: Page) => page.getByRole("main");

  test("a node that goes offline and comes back", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished, { name: "comes-and-goes" });
    const first = machine.start();
    await first.logged("socket open");
    await console.visit("viewer", { path: "/nodes" }, async (page) => {
      const row = page.getByRole("row", { name: /comes-and-goes/ });
      await row.getByText("online", { exact: true }).waitFor();
      await first.end("SIGKILL");
      await until("the node to be seen offline", async () => {
        await world.sweep();
        return row.getByText("offline", { exact: true }).isVisible();
      });
      await expectAccessible(page);
      const second = machine.start();
      await second.logged("socket open");
      await row.getByText("online", { exact: true }).waitFor();
    });
  });

  test("a run that is watched and stopped", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const taskId = await world.task(machine, {
      name: "a long one",
      source: { type: "file", paths: [sourceFolder(machine, 4000)] },
      targetIds: [await world.target("vault")],
      pipeline: { compression: "none", bandwidthBytesPerSecond: 40 * 1024 },
    });
    await console.visit("operator", { path: `/tasks/${taskId}` }, async (page) => {
      await page.getByRole("button", { name: "Back up now" }).click();
      await until("it to run", async () => {
        const [record] = await world.rows<{ id: number }>(
          "select id from backup_records where task_id = ? and status = 'running'",
          taskId,
        );
        return record?.id;
      }).then((id) => page.goto(`/records/${id}`));
      await main(page).getByText("running").first().waitFor();
      await main(page).getByRole("progressbar").first().waitFor();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Stop", exact: true }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Stop it" }).click();
      await main(page).getByText("cancelled").first().waitFor();
      await expectAccessible(page);
    });
  });

  test("a failure, in the agent's own words", async ({ onTestFinished }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    await machine.start().logged("socket open");
    const folder = sourceFolder(machine, 4);
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [folder] },
      targetIds: [await world.target("vault")],
    });
    rmSync(folder, { recursive: true });
    const { errorMessage, id } = await world.endOf((await world.run(taskId)).recordId);
    expect(errorMessage).not.toBe("");
    await console.visit("viewer", { path: `/records/${id}` }, async (page) => {
      await main(page).getByText(errorMessage).first().waitFor();
      await expectAccessible(page);
    });
  });

  test("a master that cannot be reached, and that is back", async () => {
    await console.visit(
      "viewer",
      { path: "/nodes", expected: /ERR_FAILED|ERR_INTERNET|WebSocket/ },
      async (page) => {
        await main(page).getByRole("heading", { level: 1 }).waitFor();
        await page.context().setOffline(true);
        await page
          .getByRole("alert")
          .filter({ hasText: "cannot be reached" })
          .first()
          .waitFor({ timeout: 90_000 });
        await page.context().setOffline(false);
        await page
          .getByRole("alert")
          .filter({ hasText: "cannot be reached" })
          .first()
          .waitFor({ state: "detached", timeout: 90_000 });
      },
    );
  });
});
