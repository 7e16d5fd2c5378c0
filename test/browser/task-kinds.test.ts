import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { startConfigured } from "../e2e/configured-agent.ts";
import type { Machine } from "../e2e/machine.ts";
import { TEST_MS } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith, testWith } from "../needs.ts";
import { expectAccessible } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";
import { backUp, choose, create, next, restore, storeIn, unfold } from "./task-editor.ts";

describeWith(["chromium"], "tasks beyond files of one node", () => {
  let console: Console;
  let target: string;
  beforeAll(async () => {
    console = await startConsole();
    const { world } = console;
    const id = await world.target("vault");
    target = (await world.call(adminApi.getTarget, { params: { id } })).name;
  }, TEST_MS);
  afterAll(() => console?.close());

  const taskNamed = async (text: string) =>
    (await console.world.call(adminApi.listTasks, { query: { text } })).items[0];

  test("SQLite's databases are found on the node, one is ticked and backed up", async ({
    onTestFinished,
  }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    machine.start();
    await world.online(machine);
    const folder = sourceFolder(machine, 2);
    for (const name of ["shop.db", "blog"]) {
      const database = new DatabaseSync(path.join(folder, name));
      database.exec("create table t (x); insert into t values (1)");
      database.close();
    }
    await console.visit("operator", { path: "/tasks/new", expected: /status of 502/ }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("Found files");
      await choose(page, "Node", machine.name);
      await choose(page, "Kind", "SQLite");
      const below = page.getByRole("textbox", { name: "Look for databases below" });
      const find = page.getByRole("button", { name: "Find databases" });
      await below.fill(path.join(folder, "gone"));
      await find.click();
      await page
        .getByRole("alert")
        .getByText(/there is no directory/)
        .waitFor();
      await below.fill(folder);
      await find.click();
      await page.getByRole("checkbox", { name: path.join(folder, "blog") }).waitFor();
      await page.getByRole("checkbox", { name: path.join(folder, "shop.db") }).check();
      await expectAccessible(page);
      await page.getByRole("button", { name: "See what would be read" }).click();
      await page.getByText("1 entry would be read").waitFor();
      await storeIn(page, target);
      await create(page, "Found files");
      const id = await backUp(page);
      expect(await world.record(id)).toMatchObject({ sourceType: "sqlite", status: "success" });
    });
    const source = { type: "sqlite", paths: [path.join(folder, "shop.db")] };
    expect(await taskNamed("Found files")).toMatchObject({ source });
  });

  test("one of a pool is run by whichever node has its label and is there", async ({ onTestFinished }) => {
    const { world } = console;
    const labelled = { labels: ["web-pool"] };
    const away = await world.machine(onTestFinished, { name: "web-away", ...labelled });
    const there = await world.machine(onTestFinished, { name: "web-there", ...labelled });
    const other = await world.machine(onTestFinished, { name: "not-web" });
    for (const machine of [there, other]) {
      machine.start();
      await world.online(machine);
    }
    const folder = sourceFolder(there, 4);
    await console.visit("operator", { path: "/tasks/new" }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("Of the pool");
      await page.getByText("Pool of nodes").click();
      await page.getByRole("button", { name: "Create the task" }).click();
      await page.getByText("Fill this in").first().waitFor();
      await choose(page, "Label of the nodes", "web-pool");
      await page.getByText("Only one node can be asked, and none is chosen above.").waitFor();
      expect(await page.getByRole("button", { name: "Browse the node" }).isDisabled()).toBe(true);
      await page.getByLabel("/path/on/the/node").fill(folder);
      await page.keyboard.press("Enter");
      await storeIn(page, target);
      await expectAccessible(page);
      await create(page, "Of the pool");
      await page.getByText("web-pool").first().waitFor();
      await expectAccessible(page);
      const id = await backUp(page);
      await page.getByRole("link", { name: "web-there" }).first().waitFor();
      expect(await world.record(id)).toMatchObject({ nodeId: there.nodeId, status: "success" });
      expect(await world.rows("select id from agent_commands where node_id = ?", away.nodeId)).toEqual([]);
    });
    expect(await taskNamed("Of the pool")).toMatchObject({ nodeId: null, poolLabel: "web-pool" });
  });

  test("hooks are chosen among those that the node allows, and are seen in the log", async ({
    onTestFinished,
  }) => {
    const { world } = console;
    const machine = await world.machine(onTestFinished);
    const notes = path.join(machine.folder, "notes");
    const sh = (script: string) => ({ run: ["/bin/sh", "-c", script] });
    await startConfigured(world, machine, {
      hooks: {
        "stop-shop": sh(`echo stopped >> ${notes}; echo the shop is closed`),
        "start-shop": sh(`echo started >> ${notes}; echo the shop is open`),
      },
    });
    await world.online(machine);
    const folder = sourceFolder(machine, 4);
    await console.visit("operator", { path: "/tasks/new" }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("With hooks");
      await choose(page, "Node", machine.name);
      await page.getByLabel("/path/on/the/node").fill(folder);
      await page.keyboard.press("Enter");
      await storeIn(page, target);
      await unfold(page, "Hooks");
      await page.getByRole("combobox", { name: "Before", exact: true }).fill("rm-everything");
      await page.keyboard.press("Escape");
      await choose(page, "Afterwards, always", "start-shop");
      await page.getByRole("button", { name: "Create the task" }).click();
      await page.getByText(/no hook rm-everything/).waitFor();
      await expectAccessible(page);
      await page.getByRole("combobox", { name: "Before", exact: true }).fill("");
      await choose(page, /^Before$/, "stop-shop");
      await create(page, "With hooks");
      await page.getByText("Before: stop-shop · Afterwards, always: start-shop").waitFor();
      await expectAccessible(page);
      await backUp(page);
      await page.getByRole("tab", { name: "Log" }).click();
      await page.getByText("hook stop-shop: the shop is closed").waitFor();
      await page.getByText("hook start-shop: the shop is open").waitFor();
      await expectAccessible(page);
    });
    expect(readFileSync(notes, "utf8")).toBe("stopped\nstarted\n");
  });

  testWith(["restic"], "one with restic makes snapshots, out of which a file comes back", async () => {
    const ends: (() => Promise<void>)[] = [];
    try {
      await resticThere(await console.world.machine((end) => ends.push(end)));
    } finally {
      for (const end of ends) await end();
    }
  });

  async function resticThere(machine: Machine) {
    const { world } = console;
    const password = "correct horse battery staple";
    machine.start();
    await world.online(machine);
    const folder = sourceFolder(machine, 4);
    const wanted = path.join(folder, "the wanted one.txt");
    writeFileSync(wanted, "these bytes, and no others\n");
    const disk = path.join(machine.folder, "disk");
    mkdirSync(disk);
    const id = await world.target("local_disk", { path: disk });
    const diskName = (await world.call(adminApi.getTarget, { params: { id } })).name;
    const destination = path.join(machine.folder, "restored");
    await console.visit("operator", { path: "/tasks/new" }, async (page) => {
      await page.getByRole("textbox", { name: "Name" }).fill("With restic");
      await choose(page, "Node", machine.name);
      await page.getByLabel("/path/on/the/node").fill(folder);
      await page.keyboard.press("Enter");
      await storeIn(page, diskName);
      await unfold(page, "Compression and encryption");
      await page.getByText("restic", { exact: true }).click();
      await page.getByRole("button", { name: "Create the task" }).click();
      await page.getByText("Fill this in").waitFor();
      await expectAccessible(page);
      await page.getByLabel("Repository password").fill(password);
      await create(page, "With restic");
      await expectAccessible(page);
      await page.getByRole("link", { name: "Edit" }).click();
      await unfold(page, "Compression and encryption");
      await page.getByText("It is set; left empty, it stays.").waitFor();
      expect(await page.content()).not.toContain(password);
      await page.getByRole("link", { name: "Cancel" }).click();
      await backUp(page);
      await expectAccessible(page);
      await page.getByRole("tab", { name: "Contents" }).click();
      await page.getByRole("checkbox", { name: /the wanted one\.txt/ }).check();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Restore 1 chosen path" }).click();
      await next(page);
      await page.getByText("Into another folder").click();
      await page.getByRole("textbox", { name: /Folder on that node/ }).fill(destination);
      await next(page);
      await next(page);
      await expectAccessible(page);
      await restore(page);
      await expectAccessible(page);
    });
    expect(readFileSync(path.join(destination, wanted), "utf8")).toBe("these bytes, and no others\n");
    expect(existsSync(path.join(destination, folder, "empty"))).toBe(false);
  }
});
