import { adminApi } from "../../../protocol/index.ts";
import { listCommands } from "../../commands/list.ts";
import { type App, serveUser } from "../../http.ts";

export function mountCommandRoutes(app: App): void {
  serveUser(app, adminApi.listCommands, async ({ deps, query }) => listCommands(deps, query));
}
