import { afterAll, beforeAll, expect, test } from "vitest";
import type { Role } from "../../protocol/states.ts";
import { TEST_MS } from "../e2e/until.ts";
import { sourceFolder } from "../e2e/world.ts";
import { describeWith } from "../needs.ts";
import { type Console, startConsole } from "./console.ts";

/** How actions are called, wherever they stand; what only shows something is called otherwise. */
const action =
  /^(add|create|new|edit|rename|delete|remove|run|back up|pause|resume|duplicate|copy to|restore|verify|lock|unlock|stop|cancel|rotate|connect|test|more)\b/i;

describeWith(["chromium"], "each role", () => {
  const ends: (() => Promise<void>)[] = [];
  let console: Console;
  let pages: string[];
  beforeAll(async () => {
    console = await startConsole();
    const { world } = console;
    const machine = await world.machine((end) => ends.push(end));
    await machine.start().logged("socket open");
    const targetId = await world.target("vault");
    const taskId = await world.task(machine, {
      source: { type: "file", paths: [sourceFolder(machine, 40)] },
      targetIds: [targetId],
    });
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const objects = [
      `/nodes/${machine.nodeId}`,
      `/tasks/${taskId}`,
      `/records/${id}`,
      `/targets/${targetId}`,
    ];
    pages = ["/", "/nodes", "/tasks", "/records", "/restores", "/targets", ...objects];
  }, TEST_MS);
  afterAll(async () => {
    for (const end of ends) await end();
    await console?.close();
  }, TEST_MS);

  /** The actions that somebody is offered on all pages together, and what the master has refused them meanwhile. */
  async function offered(role: Role) {
    const actions: string[] = [];
    const refused: string[] = [];
    for (const path of pages)
      await console.visit(role, { path }, async (page) => {
        page.on("response", (answer) => {
          if (answer.status() === 403) refused.push(`${path}: ${answer.url()}`);
        });
        await page.reload();
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForLoadState("networkidle");
        const main = page.getByRole("main");
        const controls = await main.locator("button, a.mantine-Button-root, [role=menuitem]").all();
        for (const control of controls) {
          const name = (await control.getAttribute("aria-label")) ?? (await control.innerText());
          if (action.test(name.trim())) actions.push(`${path}: ${name.trim()}`);
        }
      });
    return { actions, refused };
  }

  test("viewer is offered no action at all, and asks for nothing that is refused", async () => {
    expect(await offered("viewer")).toEqual({ actions: [], refused: [] });
  });

  test("operator is offered what operators may do, and asks for nothing that is refused", async () => {
    const { actions, refused } = await offered("operator");
    expect(refused).toEqual([]);
    expect(actions.join("\n")).toMatch(/back up/i);
    expect(actions.filter((one) => one.startsWith("/nodes: Add"))).toEqual([]);
  });

  test("viewer finds neither the pages of administrators nor those of operators", async () => {
    await console.visit("viewer", {}, async (page) => {
      const places = page.getByRole("navigation", { name: "Menu" });
      await places.getByRole("link", { name: "Records" }).waitFor();
      for (const name of ["Users", "API keys", "Audit", "Commands"])
        expect(await places.getByRole("link", { name }).count(), name).toBe(0);
    });
  });
});
