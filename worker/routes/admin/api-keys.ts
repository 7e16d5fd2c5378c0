import { adminApi } from "../../../protocol/index.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { createApiKey } from "../../users/create-api-key.ts";
import { deleteApiKey } from "../../users/delete-api-key.ts";
import { listApiKeys } from "../../users/list-api-keys.ts";

export function mountApiKeyRoutes(app: App): void {
  serveUser(app, adminApi.listApiKeys, async ({ deps }) => ({ items: await listApiKeys(deps) }));
  serveUser(app, adminApi.createApiKey, async ({ deps, actor, body }) => createApiKey(deps, actor, body));
  serveUser(app, adminApi.deleteApiKey, async ({ deps, actor, params }) => {
    await deleteApiKey(deps, actor, params.id);
    return DONE;
  });
}
