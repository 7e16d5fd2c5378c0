import { adminApi } from "../../../protocol/index.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { createTarget } from "../../targets/create.ts";
import { deleteTarget } from "../../targets/delete.ts";
import { getTarget, listTargets } from "../../targets/read.ts";
import { testTarget } from "../../targets/test.ts";
import { updateTarget } from "../../targets/update.ts";

export function mountTargetRoutes(app: App): void {
  serveUser(app, adminApi.listTargets, ({ deps, query }) => listTargets(deps, query));
  serveUser(app, adminApi.createTarget, ({ deps, actor, body }) => createTarget(deps, actor, body));
  serveUser(app, adminApi.getTarget, ({ deps, params }) => getTarget(deps, params.id));
  serveUser(app, adminApi.updateTarget, ({ deps, actor, params, body }) =>
    updateTarget(deps, actor, params.id, body),
  );
  serveUser(app, adminApi.deleteTarget, async ({ deps, actor, params }) => {
    await deleteTarget(deps, actor, params.id);
    return DONE;
  });
  serveUser(app, adminApi.testTarget, async ({ deps, params, body }) => ({
    ok: true as const,
    ...(await testTarget(deps, params.id, body.nodeId)),
  }));
}
