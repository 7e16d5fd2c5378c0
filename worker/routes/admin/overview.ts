import { adminApi } from "../../../protocol/index.ts";
import { type App, serveUser } from "../../http.ts";
import { readOverview } from "../../overview/read.ts";
import { search } from "../../overview/search.ts";

export function mountOverviewRoutes(app: App): void {
  serveUser(app, adminApi.dashboard, async ({ deps }) => readOverview(deps));
  serveUser(app, adminApi.search, async ({ deps, query }) => search(deps, query.text));
}
