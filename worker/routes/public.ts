import { adminApi } from "../../protocol/index.ts";
import { type App, DONE, servePublic } from "../http.ts";
import { VERSION } from "../version.ts";

export function mountPublicRoutes(app: App): void {
  servePublic(app, adminApi.health, async () => ({ ...DONE, version: VERSION }));
}
