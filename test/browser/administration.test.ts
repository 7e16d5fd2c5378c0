import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { TEST_MS } from "../e2e/until.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible, expectFits } from "./checks.ts";
import { type Console, PASSWORD, startConsole } from "./console.ts";

describeWith(["chromium"], "administration in the console", () => {
  let console: Console;
  beforeAll(async () => {
    console = await startConsole();
  }, TEST_MS);
  afterAll(async () => console?.close());

  test("storage is added, tested and removed again", async () => {
    await console.visit("admin", { path: "/targets" }, async (page) => {
      await page.getByRole("link", { name: "Add storage" }).first().click();
      await page.getByRole("link", { name: /^Vault/ }).click();
      await page.getByLabel("Name").fill("the vault");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await page.getByRole("button", { name: "Test now" }).click();
      await page.getByText("It works").waitFor();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Remove storage" }).click();
      await inDialog(page).getByRole("button", { name: "Remove storage" }).click();
      await page.getByRole("heading", { name: "Storage", exact: true }).waitFor();
      await page.getByRole("link", { name: "the vault" }).waitFor({ state: "detached" });
    });
  });

  test("a secret is shown as set, and kept unless another one is typed; a refusal stands at its field", async () => {
    const made = await console.world.call(adminApi.createTarget, {
      body: {
        name: "offsite",
        type: "s3",
        config: { endpoint: "https://s3.example", bucket: "backups" },
        secrets: { accessKeyId: "an id", secretAccessKey: "a secret nobody sees" },
      },
    });
    await console.visit("admin", { path: `/targets/${made.id}/edit` }, async (page) => {
      await page.getByLabel("Bucket").first().fill("no such/bucket");
      await page.getByLabel("Prefix").fill("typed");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("is not a bucket name").waitFor();
      expect(await page.getByLabel("Prefix").inputValue()).toBe("typed");
      await page.getByLabel("Bucket").first().fill("others");
      await page.getByLabel("Bandwidth").fill("1.5");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByRole("heading", { name: "offsite" }).waitFor();
      await page.getByText("1.5 MiB/s").waitFor();
      expect(await page.content()).not.toContain("a secret nobody sees");
    });
    const after = await console.world.call(adminApi.getTarget, { params: { id: made.id } });
    expect(after.config).toMatchObject({ bucket: "others", prefix: "typed" });
    expect(after.bandwidthBytesPerSecond).toBe(1.5 * 1024 * 1024);
    expect(after.secretsSet).toEqual(["accessKeyId", "secretAccessKey"]);
  });

  test("an API key is shown once, and the audit log tells who made and revoked it", async () => {
    await console.visit("admin", { path: "/api-keys" }, async (page) => {
      await page.getByRole("button", { name: "Make a key" }).click();
      await inDialog(page).getByLabel("Name").fill("a monitor");
      await inDialog(page).getByRole("button", { name: "Make a key" }).click();
      await page.getByText(/^bxk_[0-9a-f]{64}$/).waitFor();
      await page.getByRole("button", { name: "I have kept it" }).click();
      await page.reload();
      expect(await page.getByText(/bxk_/).count()).toBe(0);
      await page.getByRole("button", { name: "Revoke: a monitor" }).click();
      await inDialog(page).getByRole("button", { name: "Revoke" }).click();
      await page.goto("/audit?actor=the-admin");
      await page.getByRole("table").getByText("revoked an API key").waitFor();
      await page.getByRole("table").getByText("made an API key").waitFor();
    });
  });

  test("a user is added and given another role", async () => {
    await console.visit("admin", { path: "/users", phone: true }, async (page) => {
      await page.getByRole("button", { name: "Add a user" }).click();
      await inDialog(page).getByLabel("User name").fill("olga");
      await inDialog(page)
        .getByLabel(/^First password/)
        .fill(PASSWORD);
      await inDialog(page).getByRole("button", { name: "Add a user" }).click();
      await page.getByRole("button", { name: "Actions for olga" }).click();
      await page.getByRole("menuitem", { name: "Disable" }).click();
      await inDialog(page).getByRole("button", { name: "Disable" }).click();
      await page.getByText("disabled", { exact: true }).waitFor();
      await expectAccessible(page);
      await expectFits(page);
    });
  });

  test("a session that ends is begun again over the form, which keeps what was typed", async () => {
    await console.visit("admin", { path: "/targets/new?kind=sftp" }, async (page) => {
      await page.getByLabel("Host").first().fill("backup.example");
      await page.context().clearCookies();
      await page.getByLabel("Name", { exact: false }).first().fill("typed before");
      await page.getByLabel(/^User name/).fill("backup");
      await page.getByLabel("Directory").fill("backups");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await inDialog(page)
        .getByLabel(/^Password/)
        .fill(PASSWORD);
      await inDialog(page).getByRole("button", { name: "Sign in" }).click();
      await inDialog(page).waitFor({ state: "hidden" });
      expect(await page.getByLabel("Host").first().inputValue()).toBe("backup.example");
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await page.getByRole("heading", { name: "typed before" }).waitFor();
    });
  });

  test("who may only look is offered no change, and no page of administrators", async () => {
    await console.visit("viewer", { path: "/targets" }, async (page) => {
      await page.getByRole("heading", { name: "Storage", exact: true }).waitFor();
      expect(await page.getByRole("link", { name: "Add storage" }).count()).toBe(0);
      expect(await page.getByRole("link", { name: "Users" }).count()).toBe(0);
      await page.goto("/profile");
      await page.getByRole("heading", { name: "Where you are signed in" }).waitFor();
      await expectAccessible(page);
    });
  });
});

const inDialog = (page: Page) => page.getByRole("dialog");
