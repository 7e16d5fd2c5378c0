import { adminApi } from "../../../protocol/index.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { previewRetention } from "../../retention/preview.ts";
import { createTask } from "../../tasks/create.ts";
import { deleteTask } from "../../tasks/delete.ts";
import { listTasks } from "../../tasks/list.ts";
import { getTask } from "../../tasks/read.ts";
import { listTaskTags } from "../../tasks/tags.ts";
import { updateTask } from "../../tasks/update.ts";

export function mountTaskRoutes(app: App): void {
  serveUser(app, adminApi.listTasks, ({ deps, query }) => listTasks(deps, query));
  serveUser(app, adminApi.createTask, ({ deps, actor, body }) => createTask(deps, actor, body));
  serveUser(app, adminApi.listTaskTags, ({ deps }) => listTaskTags(deps));
  serveUser(app, adminApi.getTask, ({ deps, params }) => getTask(deps, params.id));
  serveUser(app, adminApi.previewRetention, ({ deps, params, query }) =>
    previewRetention(deps, params.id, query),
  );
  serveUser(app, adminApi.updateTask, ({ deps, actor, params, body }) =>
    updateTask(deps, actor, params.id, body),
  );
  serveUser(app, adminApi.deleteTask, async ({ deps, actor, params }) => {
    await deleteTask(deps, actor, params.id);
    return DONE;
  });
}
