import { adminApi } from "../../../protocol/index.ts";
import { listAudit } from "../../audit/list.ts";
import { type App, serveUser } from "../../http.ts";

export function mountAuditRoutes(app: App): void {
  serveUser(app, adminApi.listAudit, async ({ deps, query }) => listAudit(deps, query));
}
