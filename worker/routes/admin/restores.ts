import { adminApi } from "../../../protocol/index.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { readLog } from "../../records/log.ts";
import { cancelRestore } from "../../restores/cancel.ts";
import { listRestores, readRestore } from "../../restores/read.ts";
import { streamRun } from "../stream.ts";

export function mountRestoreRoutes(app: App): void {
  serveUser(app, adminApi.listRestores, async ({ deps, query }) => listRestores(deps, query));
  serveUser(app, adminApi.getRestore, async ({ deps, params }) => readRestore(deps, params.id));
  serveUser(app, adminApi.restoreLog, async ({ deps, params, query }) => {
    await readRestore(deps, params.id);
    return readLog(deps, "restore", params.id, query);
  });
  serveUser(app, adminApi.restoreStream, async ({ deps, params, c }) => {
    await readRestore(deps, params.id);
    return streamRun(c, deps, "restore", params.id, () => readRestore(deps, params.id));
  });
  serveUser(app, adminApi.cancelRestore, async ({ deps, actor, params }) => {
    await cancelRestore(deps, actor, params.id);
    return DONE;
  });
}
