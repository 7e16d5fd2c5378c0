import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { adminApi } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { type App, DONE, type HonoEnv, SESSION_COOKIE, servePublic, serveUser } from "../http.ts";
import { changePassword } from "../users/change-password.ts";
import { login } from "../users/login.ts";
import { logout } from "../users/logout.ts";
import { endOtherSessions, listSessions } from "../users/sessions.ts";

export function mountAuthRoutes(app: App): void {
  servePublic(app, adminApi.login, async ({ deps, body, ipAddress, c }) => {
    const { user, token } = await login(deps, { ipAddress, userAgent: userAgentOf(c) }, body);
    setCookie(c, SESSION_COOKIE, token, cookieOptions(c, deps.config));
    return { user };
  });
  serveUser(app, adminApi.logout, async ({ deps, actor, c }) => {
    if (actor.kind === "user") await logout(deps, actor, sessionOf(c));
    deleteCookie(c, SESSION_COOKIE, { path: "/" });
    return DONE;
  });
  serveUser(app, adminApi.me, async ({ identity: { name, role, kind } }) => ({ name, role, kind }));
  serveUser(app, adminApi.changePassword, async ({ deps, actor, body, c }) => {
    await changePassword(deps, actor, sessionOf(c), body);
    return DONE;
  });
  serveUser(app, adminApi.listSessions, async ({ deps, actor, c }) => ({
    items: await listSessions(deps, actor, sessionOf(c)),
  }));
  serveUser(app, adminApi.endOtherSessions, async ({ deps, actor, c }) => ({
    ended: await endOtherSessions(deps, actor, sessionOf(c)),
  }));
}

const MAX_USER_AGENT_CHARS = 300;
const userAgentOf = (c: Context<HonoEnv>) =>
  (c.req.header("User-Agent") ?? "").slice(0, MAX_USER_AGENT_CHARS);

const sessionOf = (c: Context<HonoEnv>) => getCookie(c, SESSION_COOKIE) ?? "";

/** Scripts of a page never see the cookie, other sites never send it; only a master without TLS gets it in clear. */
const cookieOptions = (c: Context<HonoEnv>, { sessionMs }: Config) => ({
  httpOnly: true,
  sameSite: "Strict" as const,
  secure: new URL(c.req.url).protocol === "https:",
  path: "/",
  maxAge: Math.floor(sessionMs / 1000),
});
