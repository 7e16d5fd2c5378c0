import type { Page } from "playwright-core";
import type { Demo } from "./demo.ts";

export type Shot = {
  name: string;
  path: string;
  /** Another master than the demo's. */
  url?: URL;
  stranger?: boolean;
  act?(page: Page): Promise<unknown>;
};

/** What there are pictures of. */
export function shots({ fresh, ids }: Demo): Shot[] {
  return [
    { name: "setup", path: "/", url: fresh, stranger: true },
    { name: "sign-in", path: "/", stranger: true },
    { name: "dashboard", path: "/" },
    { name: "nodes", path: "/nodes" },
    { name: "node-new", path: "/nodes/new", act: nameNode },
    { name: "node", path: `/nodes/${ids.node}` },
    { name: "tasks", path: "/tasks" },
    { name: "task", path: `/tasks/${ids.task}` },
    { name: "task-edit", path: `/tasks/${ids.task}/edit` },
    { name: "records", path: "/records" },
    { name: "record", path: `/records/${ids.record}` },
    {
      name: "record-running",
      path: `/records/${ids.running}`,
      // A rate needs two looks at the progress.
      act: (page) => page.waitForTimeout(6000),
    },
    { name: "record-failed", path: `/records/${ids.failed}` },
    { name: "record-contents", path: `/records/${ids.record}?tab=contents` },
    { name: "record-log", path: `/records/${ids.record}?tab=log` },
    { name: "restore-wizard", path: `/records/${ids.record}/restore` },
    { name: "restores", path: "/restores" },
    { name: "restore", path: `/restores/${ids.restore}` },
    { name: "verifications", path: "/verifications" },
    { name: "targets", path: "/targets" },
    { name: "target", path: `/targets/${ids.target}` },
    { name: "target-new", path: "/targets/new" },
    { name: "commands", path: "/commands" },
    { name: "audit", path: "/audit" },
    { name: "users", path: "/users" },
    { name: "api-keys", path: "/api-keys" },
    { name: "profile", path: "/profile" },
    { name: "settings", path: "/settings" },
    { name: "palette", path: "/", act: (page) => page.keyboard.press("Control+k") },
  ];
}

/** Pages that are hard to show when there is much of everything; lists, and choices among many. */
export function shotsOfMany(demo: Demo): Shot[] {
  const { ids } = demo;
  const more: Shot[] = [
    { name: "dashboard-notices", path: "/", act: (page) => button(page, /^Notifications/).click() },
    { name: "nodes-end", path: "/nodes", act: toEnd },
    { name: "nodes-none", path: "/nodes?text=nothing-is-called-so" },
    { name: "node-records", path: `/nodes/${ids.node}?part=records` },
    { name: "node-commands", path: `/nodes/${ids.node}?part=commands` },
    { name: "node-delete", path: `/nodes/${ids.node}`, act: (page) => fromMenu(page, "Delete") },
    { name: "tasks-node", path: "/tasks", act: (page) => openChoice(page, "Node", "kubernetes") },
    { name: "tasks-filtered", path: `/tasks?nodeId=${ids.node}&tag=compliance-2026` },
    { name: "task-new-node", path: "/tasks/new", act: (page) => openChoice(page, "Node", "worker-500") },
    { name: "task-new-pool", path: "/tasks/new", act: choosePool },
    { name: "records-task", path: "/records", act: (page) => openChoice(page, "Task", "region") },
    { name: "records-failed", path: "/records?status=failed" },
    { name: "records-none", path: `/records?status=queued&taskId=${ids.task}&kind=differential` },
    { name: "record-queued", path: `/records/${ids.running - 1}` },
    { name: "restore-elsewhere", path: `/records/${ids.record}/restore`, act: restoreElsewhere },
    { name: "palette-found", path: "/", act: search },
    { name: "audit-details", path: "/audit", act: (page) => button(page, "Details").first().click() },
  ];
  return [...shots(demo).filter(({ stranger, name }) => !stranger && name !== "node-new"), ...more];
}

const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });

async function openChoice(page: Page, label: string, text: string): Promise<void> {
  const choice = page.getByRole("combobox", { name: label }).or(page.getByRole("textbox", { name: label }));
  await choice.first().click();
  await choice.first().fill(text);
  await page.waitForTimeout(800);
}

async function choosePool(page: Page): Promise<void> {
  await page.getByText("Pool of nodes").click();
  await openChoice(page, "Label of the nodes", "re");
}

async function restoreElsewhere(page: Page): Promise<void> {
  await button(page, /^Continue|^Next/)
    .first()
    .click();
  await openChoice(page, "Node", "worker-5");
}

async function search(page: Page): Promise<void> {
  await page.keyboard.press("Control+k");
  await page.keyboard.type("prod-eu");
  await page.waitForTimeout(800);
}

/** All nodes, on one page; then its end. */
async function toEnd(page: Page): Promise<void> {
  for (let pages = 0; pages < 9; pages++) {
    await button(page, "Show more").click();
    await page.waitForTimeout(300);
  }
  await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
}

async function fromMenu(page: Page, item: string): Promise<void> {
  await button(page, /^More for/)
    .first()
    .click();
  await page.getByRole("menuitem", { name: item }).click();
}

async function nameNode(page: Page): Promise<void> {
  // Each look of the picture adds a node of its own.
  const name = `shop-${3 + Math.floor(Math.random() * 90)}`;
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("region", { name: "Command" }).waitFor();
}
