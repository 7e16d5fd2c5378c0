import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import type { Machine } from "../e2e/machine.ts";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

describeWith(["chromium"], "tasks in the console", () => {
  let console: Console;
  let machine: Machine;
  let data: string;
  let targetId: number;
  let end: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    console = await startConsole();
    const { world } = console;
    machine = await world.machine((cleanUp) => {
      end = cleanUp;
    });
    machine.start();
    await world.online(machine);
    targetId = await world.target("vault");
    data = path.join(world.folder, "data");
    mkdirSync(path.join(data, "pictures"), { recursive: true });
    writeFileSync(path.join(data, "pictures/one.jpg"), "a picture");
    writeFileSync(path.join(data, "pictures/one.tmp"), "left out");
  }, TEST_MS);
  afterAll(async () => {
    await end?.();
    await console?.close();
  });

  const aTask = (name: string, more: object = {}) =>
    console.world.task(machine, {
      name,
      source: { type: "file", paths: [data] },
      targetIds: [targetId],
      ...more,
    });
  const choose = async (page: Page, label: string | RegExp, option: string) => {
    await page.getByRole("combobox", { name: label }).click();
    await page.getByRole("option", { name: option, exact: true }).click();
  };

  test(
    "one is made with the directory picker, previewed, started and watched to its end",
    async () => {
      const { nodes, targets } = await namesOf(console, machine.nodeId, targetId);
      await console.visit("operator", { path: "/tasks/new" }, async (page) => {
        await page.getByRole("button", { name: "Create the task" }).click();
        // What is missing is said at its field.
        expect(await page.getByText("Fill this in").count()).toBe(4);
        await page.getByRole("textbox", { name: "Name" }).fill("Pictures");
        await choose(page, "Node", nodes);

        await page.getByRole("button", { name: "Browse the node" }).click();
        const filter = page.getByLabel("Filter, or type a path and press Enter");
        await filter.fill(data);
        await filter.press("Enter");
        await page.getByRole("checkbox", { name: `Choose ${path.join(data, "pictures")}` }).click();
        await page.getByRole("button", { name: "*.tmp" }).click();
        await page.getByRole("button", { name: "See what would be read" }).click();
        await page.getByText("2 entries would be read").waitFor();
        await page.getByText("1 left out").waitFor();

        await choose(page, "How often", "On days of the week");
        await page.getByText("Mon", { exact: true }).click();
        await page.getByText("At 03:00, only on Sunday and Monday").waitFor();
        await page.locator(".next-runs li").nth(4).waitFor();
        expect(await page.locator(".next-runs li").count()).toBe(5);
        await choose(page, "Storage", targets);
        await page.keyboard.press("Escape");
        await expectAccessible(page);

        await page.getByRole("button", { name: "Create the task" }).click();
        await page.getByRole("heading", { name: "Pictures", level: 1 }).waitFor();
        await expectAccessible(page);
        await page.getByRole("button", { name: "Back up now" }).click();
        await page.waitForURL(/\/records\/\d+$/);
        const recordId = Number(page.url().split("/").at(-1));
        expect(await console.world.endOf(recordId)).toMatchObject({
          status: "success",
          taskName: "Pictures",
        });
      });
      const [task] = (await console.world.call(adminApi.listTasks, { query: { text: "Pictures" } })).items;
      expect(task).toMatchObject({
        source: { type: "file", paths: [path.join(data, "pictures")], excludes: ["*.tmp"] },
        schedule: "0 3 * * 0,1",
        targetIds: [targetId],
      });
    },
    TEST_MS,
  );

  test("what the master refuses stands at its field, and nothing typed is lost", async () => {
    await aTask("Taken");
    const id = await aTask("Mine", { schedule: "0 3 * * *" });
    await console.visit("operator", { path: `/tasks/${id}/edit` }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("Taken");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("there already is a backup task named Taken").waitFor();
      await page.getByRole("textbox", { name: "Name" }).fill("Mine indeed");
      await choose(page, "How often", "Cron expression");
      await page.getByLabel("Expression").fill("0 3 31 2 *");
      await page.getByText("never comes").waitFor();
      // Away and back: it is all still there.
      await page.getByRole("link", { name: "Cancel" }).click();
      await page.getByRole("heading", { name: "Mine", level: 1 }).waitFor();
      await page.getByRole("link", { name: "Edit" }).click();
      await page.getByText("What you had typed here before is back").waitFor();
      expect(await page.getByRole("textbox", { name: "Name" }).inputValue()).toBe("Mine indeed");
      await page.getByLabel("Expression").fill("0 */6 * * 1-5");
      await page.getByText("every 6 hours, Monday through Friday").waitFor();
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("heading", { name: "Mine indeed", level: 1 }).waitFor();
    });
    const task = await console.world.call(adminApi.getTask, { params: { id: String(id) } });
    expect(task).toMatchObject({ name: "Mine indeed", schedule: "0 */6 * * 1-5" });
  });

  test("a password is shown as set, never as itself, and stays when it is not touched", async () => {
    const id = await aTask("Orders", {
      nodeId: null,
      poolLabel: "no-such-pool",
      source: { type: "mysql", user: "backup" },
      secrets: { password: "planted-secret" },
    });
    await console.visit("operator", { path: `/tasks/${id}/edit` }, async (page) => {
      await page.getByText("It is set; left empty, it stays.").waitFor();
      expect(await page.getByLabel("Password", { exact: true }).inputValue()).toBe("");
      expect(await page.content()).not.toContain("planted-secret");
      await page.getByLabel("User").fill("somebody");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("was given for another server or user").waitFor();
      await page.getByLabel("User").fill("backup");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("heading", { name: "Orders", level: 1 }).waitFor();
    });
    const task = await console.world.call(adminApi.getTask, { params: { id: String(id) } });
    expect(task.secretsSet).toEqual(["password"]);
  });

  test("they are found, paused, copied and deleted from the list; a viewer only looks", async () => {
    await aTask("Alpha", { tags: ["team one"] });
    await aTask("Beta");
    await console.visit("operator", { path: "/tasks" }, async (page) => {
      await page.getByRole("link", { name: "team one" }).click();
      await page.getByRole("link", { name: "Beta", exact: true }).waitFor({ state: "detached" });
      const row = page.getByRole("row", { name: "Alpha" });
      await row.getByRole("button", { name: "More about Alpha" }).click();
      await expectAccessible(page);
      await page.getByRole("menuitem", { name: "Pause" }).click();
      await row.getByText("paused").waitFor();
      await expectAccessible(page);

      await row.getByRole("button", { name: "More about Alpha" }).click();
      await page.getByRole("menuitem", { name: "Duplicate" }).click();
      await page.getByRole("button", { name: "Create the task" }).click();
      await page.getByRole("heading", { name: "Copy of Alpha", level: 1 }).waitFor();

      await page.getByRole("button", { name: "More about Copy of Alpha" }).click();
      await page.getByRole("menuitem", { name: "Delete the task" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete the task" }).click();
      await page.getByRole("heading", { name: "Tasks", level: 1 }).waitFor();
      await page.getByLabel("Search by name").fill("no task has this name");
      await page.getByText("No task matches").waitFor();
    });
    await console.visit("viewer", { path: "/tasks" }, async (page) => {
      await page.getByRole("link", { name: "Alpha", exact: true }).click();
      await page.getByRole("heading", { name: "Alpha", level: 1 }).waitFor();
      expect(await page.getByRole("button", { name: /Back up|More about|Resume/ }).count()).toBe(0);
      await page.goto("/tasks/new");
      await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    });
  });

  test(
    "a node and a task that more than a thousand newer ones hide are found by a part of their names",
    async () => {
      const { world } = console;
      const { nodes } = await namesOf(console, machine.nodeId, targetId);
      await aTask("The oldest of all tasks");
      const many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1100)";
      await world.change(
        `${many} insert into nodes (name, token_sha256, labels, created_at, updated_at)
         select 'newer-' || i, 'newer-' || i, '[]', 0, 0 from n`,
      );
      await world.change(
        `${many} insert into backup_tasks (name, source, pipeline, node_id, created_at, updated_at)
         select 'Newer ' || i, '{"type":"file","paths":["/srv"]}', '{}', ?, 0, 0 from n`,
        machine.nodeId,
      );
      try {
        await console.visit("operator", { path: "/records" }, async (page) => {
          await page.getByRole("combobox", { name: "Node" }).click();
          await page
            .getByRole("listbox", { name: "Node" })
            .getByText("More: type a part of the name")
            .waitFor();
          await page.getByRole("combobox", { name: "Node" }).fill(nodes);
          await page.getByRole("option", { name: nodes, exact: true }).click();
          await page.getByRole("combobox", { name: "Task" }).fill("the oldest");
          await page.getByRole("option", { name: "The oldest of all tasks" }).click();
          await page.getByText("No backup fits").waitFor();
          await expectAccessible(page);
          await page.getByRole("button", { name: "Clear filters" }).first().click();
          await page.waitForURL((url) => url.search === "");
        });
      } finally {
        await world.change("delete from nodes where token_sha256 like 'newer-%'");
        await world.change("delete from backup_tasks where name like 'Newer %'");
      }
    },
    TEST_MS,
  );

  test.for([
    ["dark", { dark: true }],
    ["on a phone, in Chinese", { phone: true, language: "zh" }],
  ] as const)("list, page and editor hold %s", async ([, look]) => {
    const id = await aTask(`A name that is long enough to be broken over lines ${JSON.stringify(look)}`, {
      schedule: "15 */4 * * 1-5",
      timeZone: "Asia/Shanghai",
      retention: { keepLast: 3, keepDaily: 7 },
      verification: { grade: 3, schedule: "0 6 * * 0" },
    });
    for (const at of ["/tasks", `/tasks/${id}`, `/tasks/${id}/edit`])
      await console.visit("operator", { ...look, path: at }, async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        const folded = page.getByRole("button", { name: /^(Change|更改): / });
        while ((await folded.count()) > 0) await folded.first().click();
        await expectAccessible(page);
        await expectFits(page);
      });
  });
});

async function namesOf({ world }: Console, nodeId: number, targetId: number) {
  const node = await world.call(adminApi.getNode, { params: { id: String(nodeId) } });
  const target = await world.call(adminApi.getTarget, { params: { id: String(targetId) } });
  return { nodes: node.name, targets: target.name };
}
