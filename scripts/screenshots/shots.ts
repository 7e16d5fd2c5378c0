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

async function nameNode(page: Page): Promise<void> {
  // Each look of the picture adds a node of its own.
  const name = `shop-${3 + Math.floor(Math.random() * 90)}`;
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("region", { name: "Command" }).waitFor();
}
