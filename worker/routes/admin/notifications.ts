import { adminApi } from "../../../protocol/index.ts";
import { type App, serveUser } from "../../http.ts";
import { listNotifications } from "../../notify/list.ts";

export function mountNotificationRoutes(app: App): void {
  serveUser(app, adminApi.listNotifications, async ({ deps, query }) => listNotifications(deps, query));
}
