import { adminApi } from "../../protocol/index.ts";
import { type App, servePublic } from "../http.ts";
import { VERSION } from "../version.ts";

export function mountPublicRoutes(app: App): void {
  servePublic(app, adminApi.health, async (_call) => ({ status: "ok", version: VERSION }));
}
