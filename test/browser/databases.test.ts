import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { startConfigured } from "../e2e/configured-agent.ts";
import type { Machine } from "../e2e/machine.ts";
import { TEST_MS } from "../e2e/until.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { expectAccessible } from "./checks.ts";
import { type Console, startConsole } from "./console.ts";
import { backUp, choose, create, next, restore, storeIn } from "./task-editor.ts";

type Kind = {
  label: string;
  programs: string[];
  start(): Promise<DatabaseServer>;
  rowsOf(table: string): string;
  /** 5,000 orders. */
  fill: string;
};

const kinds: Kind[] = [
  {
    label: "PostgreSQL",
    programs: ["pg_ctlcluster", "setpriv", "openssl"],
    start: startPostgres,
    rowsOf: (table) => `select count(*), md5(string_agg(t::text, ',' order by id)) from ${table} t`,
    fill: "create table orders as select i as id, md5(i::text) as code from generate_series(1, 5000) i",
  },
  {
    label: "MySQL or MariaDB",
    programs: ["mariadbd", "mariadb-dump", "setpriv", "openssl"],
    start: startMariadb,
    rowsOf: (table) => `select count(*), sum(crc32(concat(id, code))) from ${table}`,
    fill: "create table orders as select seq as id, md5(seq) as code from seq_1_to_5000",
  },
];

for (const kind of kinds)
  describeWith(["chromium", ...kind.programs], `${kind.label} in the console`, () => {
    let console: Console;
    let server: DatabaseServer;
    let machine: Machine;
    let target: string;
    const ends: (() => Promise<void>)[] = [];
    beforeAll(async () => {
      [console, server] = await Promise.all([startConsole(), kind.start()]);
      const { world } = console;
      machine = await world.machine((end) => ends.push(end));
      await startConfigured(world, machine, {});
      await world.online(machine);
      const targetId = await world.target("vault");
      target = (await world.call(adminApi.getTarget, { params: { id: targetId } })).name;
      for (const name of ["shop", "blog"]) {
        server.sql(`create database ${name}`);
        server.sql(kind.fill, name);
      }
      server.sql("delete from orders where id > 3", "blog");
    }, TEST_MS);
    afterAll(async () => {
      for (const end of ends) await end();
      await server?.close();
      await console?.close();
    });

    const reach = async (page: Page) => {
      await choose(page, "Node", machine.name);
      await choose(page, "Kind", kind.label);
      await page.getByRole("textbox", { name: "Host or socket" }).fill(server.socket);
      await page.getByRole("textbox", { name: "Port" }).fill(String(server.port));
      await page.getByRole("textbox", { name: "User" }).fill(server.user);
    };

    test("its databases are found, two of them backed up, and one comes back under another name", async () => {
      await console.visit("operator", { path: "/tasks/new", expected: /status of 502/ }, async (page) => {
        await page.getByRole("textbox", { name: "Name" }).fill("Databases");
        await reach(page);
        const find = page.getByRole("button", { name: "Find databases on the server" });
        await page.getByLabel("Password", { exact: true }).fill("a wrong one");
        await find.click();
        await page
          .getByRole("alert")
          .getByText(/password|denied/i)
          .waitFor();
        await expectAccessible(page);
        await page.getByLabel("Password", { exact: true }).fill(server.password);
        await find.click();
        const found = page.getByRole("checkbox", { name: "shop", exact: true });
        await found.waitFor();
        // They are those of this server and user, and are not left standing for another.
        await page.getByRole("textbox", { name: "User" }).fill("somebody");
        await found.waitFor({ state: "detached" });
        await page.getByRole("textbox", { name: "User" }).fill(server.user);
        await find.click();
        for (const name of ["shop", "blog"]) await page.getByRole("checkbox", { name, exact: true }).check();
        await page.getByRole("button", { name: "See what would be read" }).click();
        await page.getByText("2 entries would be read").waitFor();
        await storeIn(page, target);
        await expectAccessible(page);
        await create(page, "Databases");
        await expectAccessible(page);

        await page.getByRole("link", { name: "Edit" }).click();
        await page.getByText("It is set; left empty, it stays.").waitFor();
        expect(await page.getByLabel("Password", { exact: true }).inputValue()).toBe("");
        // What is sealed is enough to ask the server again.
        await find.click();
        await page.getByRole("checkbox", { name: "shop", exact: true }).waitFor();
        expect(await page.content()).not.toContain(server.password);
        await page.getByRole("link", { name: "Cancel" }).click();

        await backUp(page);
        await page.getByRole("link", { name: "Restore", exact: true }).click();
        await page.getByText("Only these databases").click();
        await page.getByRole("combobox", { name: "Names of the databases" }).fill("shop");
        await page.keyboard.press("Enter");
        await expectAccessible(page);
        await next(page);
        await page.getByRole("button", { name: "Add a name" }).click();
        expect(await page.getByRole("textbox", { name: "In the backup" }).inputValue()).toBe("shop");
        await next(page);
        await page.getByText("Give each both names").waitFor();
        await page.getByRole("textbox", { name: "New name" }).fill("shop_again");
        await expectAccessible(page);
        await next(page);
        await expectAccessible(page);
        await next(page);
        await page.getByText("shop → shop_again").waitFor();
        await expectAccessible(page);
        await restore(page);
        await page.getByText("shop → shop_again").waitFor();
        expect(await page.getByRole("main").getByText("everything").count()).toBe(0);
        await expectAccessible(page);
        await page.goto("/restores");
        await page.getByRole("cell", { name: "1 database" }).waitFor();
      });
      const rows = kind.rowsOf("orders");
      expect(server.sql(rows, "shop")).toMatch(/^5000\b/);
      expect(server.sql(rows, "shop_again")).toBe(server.sql(rows, "shop"));
      expect(server.sql(rows, "blog")).toMatch(/^3\b/);
    });
  });
