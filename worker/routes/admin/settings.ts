import { adminApi } from "../../../protocol/index.ts";
import { type App, serveUser } from "../../http.ts";
import { readSettings } from "../../settings/read.ts";

export function mountSettingsRoutes(app: App): void {
  serveUser(app, adminApi.getSettings, async ({ deps }) => readSettings(deps));
}
