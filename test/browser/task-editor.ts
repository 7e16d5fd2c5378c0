import type { Page } from "playwright-core";

// What people do in the task editor and after it, by what they see.

export async function choose(page: Page, label: string | RegExp, option: string): Promise<void> {
  await page.getByRole("combobox", { name: label }).click();
  await page.getByRole("option", { name: option, exact: true }).click();
}

/** Opens a part of the editor that most people leave as it is. */
export const unfold = (page: Page, part: string) =>
  page.getByRole("button", { name: `Change: ${part}` }).click();

/** Chooses where backups go, and that they run by hand only. */
export async function storeIn(page: Page, target: string): Promise<void> {
  await page.getByRole("switch", { name: "Run by itself" }).uncheck();
  await choose(page, "Storage", target);
  await page.keyboard.press("Escape");
}

export async function create(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: "Create the task" }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
}

/** From a task's page: backs it up and watches it to its good end; returns the record's id. */
export async function backUp(page: Page): Promise<number> {
  await page.getByRole("button", { name: "Back up now" }).click();
  await page.waitForURL(/\/records\/\d+$/);
  await page.getByRole("main").getByText("success", { exact: true }).first().waitFor();
  return Number(page.url().split("/").at(-1));
}

export const next = (page: Page) => page.getByRole("button", { name: "Next", exact: true }).click();

/** From the restore wizard's last step. */
export async function restore(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Restore now" }).click();
  await page.waitForURL(/\/restores\/\d+$/);
  await page.getByRole("main").getByText("success", { exact: true }).first().waitFor();
}
