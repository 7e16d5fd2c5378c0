import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { startConfigured } from "../e2e/configured-agent.ts";
import { cleanEnv } from "../e2e/machine.ts";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";

/** Nobody's ids: an agent of root would write its configuration for the whole machine. */
const NOBODY = 65_534;

describeWith(["chromium"], "nodes in the console", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(() => console?.close());

  /** A machine's shell, as a user of its own home. */
  function shell(command: string): ChildProcess {
    const home = path.join(console.world.folder, "home");
    mkdirSync(home, { recursive: true });
    for (const folder of [console.world.folder, home]) chmodSync(folder, 0o777);
    const isRoot = process.getuid?.() === 0;
    const child = spawn("sh", ["-c", command], {
      cwd: home,
      detached: true,
      env: cleanEnv({ HOME: home, npm_config_update_notifier: "false" }),
      stdio: ["ignore", "ignore", "inherit"],
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    onTestFinished(async () => {
      if (child.exitCode !== null) return;
      process.kill(-(child.pid as number), "SIGKILL");
      await once(child, "exit");
    });
    return child;
  }

  async function aRunningNode(name: string): Promise<{ nodeId: number; folder: string }> {
    const machine = await console.world.machine(onTestFinished, { name });
    machine.start();
    await console.world.online(machine);
    return machine;
  }

  const menuOf = async (page: Page, name: string, item: string) => {
    await page.getByRole("button", { name: `More for ${name}` }).click();
    await page.getByRole("menuitem", { name: item }).click();
  };

  test("a server is added by the command that is shown, and comes online before one's eyes", async () => {
    await console.visit("admin", { path: "/nodes" }, async (page) => {
      await page.getByRole("link", { name: "Add a node" }).first().click();
      await page.getByRole("textbox", { name: "Name" }).fill("shop");
      await page.getByRole("combobox", { name: "Labels" }).fill("Web, env=prod");
      await page.getByRole("button", { name: "Continue" }).click();
      await page.getByRole("button", { name: "Copy: Command" }).click();
      await expectAccessible(page);
      shell(await page.evaluate(() => navigator.clipboard.readText()));
      await page.getByText("shop is online").waitFor({ timeout: 120_000 });
      await page.getByRole("link", { name: "Show the node" }).click();
      await page.getByRole("heading", { name: "shop" }).waitFor();
      await page.getByText("env=prod").waitFor();
      await page.getByRole("link", { name: "Create a task" }).click();
      await page.waitForURL(/\/tasks\/new\?node=\d+/);
    });
  });

  test("many are added at once, or none; what is wrong stands at the names", async () => {
    await console.visit("admin", { path: "/nodes/new", phone: true }, async (page) => {
      await page.getByRole("tab", { name: "Several" }).click();
      const names = page.getByRole("textbox", { name: "Names" });
      await names.fill("rack-1\nrack-2\nrack-1\n");
      await page.getByRole("button", { name: "Add 3 nodes" }).click();
      await page.getByText("rack-1 is there twice").waitFor();
      expect(await names.inputValue()).toContain("rack-2");
      await names.fill("rack-1\nrack-2");
      await page.getByRole("button", { name: "Add 2 nodes" }).click();
      await page.getByText("2 nodes were added").waitFor();
      await expectAccessible(page);
      await expectFits(page);
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Download as CSV" }).click();
      expect((await download).suggestedFilename()).toBe("nodes.csv");
      await page.getByRole("link", { name: "To all nodes" }).click();
      await page.getByRole("link", { name: "rack-2" }).waitFor();
    });
  });

  test("a node is renamed, labelled, paused and found", async () => {
    await console.world.call(adminApi.createNodes, { body: { names: ["old-name", "another"] } });
    await console.visit("admin", { path: "/nodes", dark: true }, async (page) => {
      await menuOf(page, "old-name", "Edit");
      const name = page.getByRole("dialog").getByRole("textbox", { name: "Name" });
      await name.fill("another");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("there already is a node named another").waitFor();
      expect(await name.inputValue()).toBe("another");
      await name.fill("new-name");
      await page.getByRole("combobox", { name: "Labels" }).fill("db");
      await expectAccessible(page);
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await menuOf(page, "new-name", "Pause");
      await page.getByText("paused", { exact: true }).waitFor();
      await page.getByRole("searchbox", { name: "Name, host or address" }).fill("EW-NAM");
      await page.getByRole("link", { name: "another" }).waitFor({ state: "detached" });
      await page.getByRole("link", { name: "new-name" }).waitFor();
      expect(new URL(page.url()).search).toContain("text=EW-NAM");
      await page.getByRole("button", { name: "Clear filters" }).click();
      await page.getByRole("link", { name: "another" }).waitFor();
      await expectAccessible(page);
    });
  });

  test("what an agent's own configuration names and cannot start is told on its node's page", async () => {
    const { world } = console;
    const machine = await world.machine(onTestFinished, { name: "without-check" });
    const check = path.join(machine.folder, "check");
    await startConfigured(world, machine, { commands: { ldap: { run: ["/bin/sh"], verify: [check] } } });
    await console.visit("admin", { path: `/nodes/${machine.nodeId}`, phone: true }, async (page) => {
      await page.getByText("Cannot be started").waitFor();
      await page.getByText(`commands.ldap.verify: ${check} (ENOENT)`).waitFor();
      await expectAccessible(page);
      await expectFits(page);
    });
  });

  test("a new token is asked for, shown once, and the old one works on for a day", async () => {
    await console.world.call(adminApi.createNode, { body: { name: "leaky" } });
    await console.visit("admin", { path: "/nodes" }, async (page) => {
      await menuOf(page, "leaky", "New token");
      await page.getByRole("button", { name: "New token" }).click();
      const token = await page.getByRole("region", { name: "Token" }).innerText();
      expect(token.trim()).toMatch(/^[0-9a-f]{64}$/);
      await page.getByText(/in 2[34] hours|in 1 day|tomorrow/).waitFor();
      await expectAccessible(page);
    });
  });

  test("a node that tasks need is not deleted, and one is led to them; then it is", async () => {
    const { world } = console;
    const machine = await aRunningNode("needed");
    const target = await world.target("vault");
    const task = await world.task(machine, {
      name: "needs it",
      source: { type: "file", paths: ["/etc"] },
      targetIds: [target],
    });
    await console.visit("admin", { path: `/nodes/${machine.nodeId}` }, async (page) => {
      await menuOf(page, "needed", "Delete");
      await page.getByRole("dialog").getByRole("link", { name: "needs it" }).waitFor();
      expect(await page.getByRole("dialog").getByRole("button", { name: "Delete" }).count()).toBe(0);
      await expectAccessible(page);
      await page.getByRole("button", { name: "Cancel" }).click();
      await world.call(adminApi.deleteTask, { params: { id: task } });
      await page.reload();
      await menuOf(page, "needed", "Delete");
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await page.waitForURL(/\/nodes$/);
      await page.getByRole("heading", { name: "Nodes" }).waitFor();
      expect(await page.getByRole("link", { name: "needed" }).count()).toBe(0);
    });
  });

  test("its directories are gone through by keyboard alone, and errors stay where they arise", async () => {
    const machine = await aRunningNode("browsed");
    const below = path.join(machine.folder, "looked-at/inner");
    mkdirSync(below, { recursive: true });
    writeFileSync(path.join(below, "seen.txt"), "1234567");
    writeFileSync(path.join(below, ".unseen"), "");
    const look = {
      path: `/nodes/${machine.nodeId}?part=files`,
      // What the agent cannot list.
      expected: /status of 502/,
    };
    await console.visit("operator", look, async (page) => {
      const field = page.getByRole("textbox", { name: /Filter/ });
      await field.fill(path.dirname(below));
      await field.press("Enter");
      await page.getByRole("button", { name: "inner" }).waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.getByText("seen.txt").waitFor();
      await page.getByText("7 B").waitFor();
      expect(await page.getByText(".unseen").count()).toBe(0);
      await page.getByRole("switch", { name: "Hidden files" }).press("Space");
      await page.getByText(".unseen").waitFor();
      await expectAccessible(page);
      await page.getByRole("list", { name: "What is in" }).press("Backspace");
      await page.getByRole("button", { name: "inner" }).waitFor();
      await field.fill("/no/such/place");
      await field.press("Enter");
      await page.getByText("there is no such directory").waitFor();
      await page.getByRole("button", { name: "To the directory above" }).waitFor();
    });
  });

  test("what a role may not do is not shown to it", async () => {
    const machine = await aRunningNode("watched");
    await console.visit("viewer", { path: "/nodes" }, async (page) => {
      await page.getByRole("link", { name: "watched" }).waitFor();
      expect(await page.getByRole("link", { name: "Add a node" }).count()).toBe(0);
      expect(await page.getByRole("button", { name: /More for/ }).count()).toBe(0);
      await page.getByRole("link", { name: "watched" }).click();
      await page.getByRole("tab", { name: "Overview" }).waitFor();
      for (const name of ["Files", "Commands"]) expect(await page.getByRole("tab", { name }).count()).toBe(0);
      expect(await page.getByRole("link", { name: "Create a task" }).count()).toBe(0);
    });
    await console.visit("operator", { path: `/nodes/${machine.nodeId}` }, async (page) => {
      await page.getByRole("tab", { name: "Files" }).waitFor();
      expect(await page.getByRole("button", { name: /More for/ }).count()).toBe(0);
    });
  });

  test("a node's page and the queue hold dark, in Chinese, on a phone", async () => {
    const machine = await aRunningNode("手机");
    await console.world.ask(adminApi.browseNode, {
      params: { id: machine.nodeId },
      query: { path: "/no/such/place" },
    });
    const look = { dark: true, phone: true, language: "zh" } as const;
    for (const place of [`/nodes/${machine.nodeId}`, `/nodes/${machine.nodeId}?part=files`, "/commands"])
      await console.visit("admin", { ...look, path: place }, async (page) => {
        await page.getByRole("heading", { level: 1 }).waitFor();
        if (place === "/commands") await page.getByText("there is no such directory").first().waitFor();
        await expectAccessible(page);
        await expectFits(page);
      });
  });

  test("the queue is narrowed to what failed", async () => {
    const machine = await aRunningNode("queue");
    for (const folder of ["/", "/no/such/place"])
      await console.world.ask(adminApi.browseNode, {
        params: { id: machine.nodeId },
        query: { path: folder },
      });
    await console.visit("operator", { path: `/commands?nodeId=${machine.nodeId}` }, async (page) => {
      const done = page.getByRole("table").getByText("done", { exact: true });
      await done.waitFor();
      await page.getByRole("combobox", { name: "Status" }).click();
      await page.getByRole("option", { name: "failed" }).click();
      await done.waitFor({ state: "detached" });
      await page.getByText("there is no such directory").waitFor();
    });
  });
});
