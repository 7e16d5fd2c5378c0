import type { Cookie, Page } from "playwright-core";
import { adminApi } from "../../protocol/index.ts";
import type { Role } from "../../protocol/states.ts";
import { launchChromium } from "../../scripts/chromium.ts";
import { signIn } from "../../scripts/sign-in.ts";
import { startWorld, type World } from "../e2e/world.ts";
import { buildConsole } from "./built-console.ts";
import { type Look, visit } from "./visit.ts";

export const PASSWORD = "a password of tests";

/** The console of a real master, looked at with a real browser; `world` is its back door, for what a test needs. */
export type Console = {
  world: World;
  /** Opens a page as somebody with this role, or as a stranger, and fails on whatever the browser complains of. */
  visit(as: Role | null, look: Look, act: (page: Page) => Promise<void>): Promise<void>;
  close(): Promise<void>;
};

/** Each role has one person, who is named after it. */
export async function startConsole(): Promise<Console> {
  await buildConsole();
  const [world, browser] = await Promise.all([startWorld(), launchChromium()]);
  const known = new Map<Role, Promise<Cookie[]>>();
  const cookiesOf = (role: Role) => {
    const cookies = known.get(role) ?? signInAs(world, role);
    known.set(role, cookies);
    return cookies;
  };
  return {
    world,
    visit: async (as, look, act) =>
      visit(browser, world.url, as === null ? [] : await cookiesOf(as), look, act),
    async close() {
      await browser.close();
      await world.close();
    },
  };
}

async function signInAs(world: World, role: Role): Promise<Cookie[]> {
  const credentials = { username: `the-${role}`, password: PASSWORD };
  await world.call(adminApi.createUser, { body: { ...credentials, role } });
  return signIn(world.url, credentials);
}
