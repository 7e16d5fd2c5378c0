import { adminApi } from "../../../protocol/index.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { createUser } from "../../users/create.ts";
import { deleteUser } from "../../users/delete.ts";
import { listUsers } from "../../users/list.ts";
import { updateUser } from "../../users/update.ts";

export function mountUserRoutes(app: App): void {
  serveUser(app, adminApi.listUsers, async ({ deps }) => ({ items: await listUsers(deps) }));
  serveUser(app, adminApi.createUser, async ({ deps, actor, body }) => ({
    user: await createUser(deps, actor, body),
  }));
  serveUser(app, adminApi.updateUser, async ({ deps, actor, params, body }) => ({
    user: await updateUser(deps, actor, params.id, body),
  }));
  serveUser(app, adminApi.deleteUser, async ({ deps, actor, params }) => {
    await deleteUser(deps, actor, params.id);
    return DONE;
  });
}
