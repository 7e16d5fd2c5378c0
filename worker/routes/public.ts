import { adminApi } from "../../protocol/index.ts";
import { type App, DONE, SESSION_COOKIE, servePublic } from "../http.ts";
import { describeApi } from "../openapi/document.ts";
import { makeFirstAdmin, setupNeeded } from "../users/setup.ts";
import { VERSION } from "../version.ts";

export function mountPublicRoutes(app: App): void {
  // Tens of milliseconds to make and always the same, so made once, when first asked for.
  let document: ReturnType<typeof describeApi> | undefined;

  servePublic(app, adminApi.health, async () => ({ ...DONE, version: VERSION }));
  servePublic(app, adminApi.setupState, async ({ deps }) => ({ needed: await setupNeeded(deps) }));
  servePublic(app, adminApi.setup, async ({ deps, ipAddress, body }) => ({
    user: await makeFirstAdmin(deps, ipAddress, body),
  }));
  servePublic(app, adminApi.openapi, async ({ c }) => {
    document ??= describeApi(VERSION, SESSION_COOKIE);
    c.header("Cache-Control", "public, max-age=300");
    return c.json(document);
  });
}
