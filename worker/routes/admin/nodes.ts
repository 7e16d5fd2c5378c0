import { adminApi } from "../../../protocol/index.ts";
import { createEnrollmentCode, createNodeCode, type NewCode } from "../../enrollment/create-code.ts";
import { type App, type Call, DONE, serveUser } from "../../http.ts";
import { installCommand } from "../../install/one-liner.ts";
import { browseNode } from "../../nodes/browse.ts";
import { type CreatedNode, createNodes } from "../../nodes/create.ts";
import { deleteNode } from "../../nodes/delete.ts";
import { discoverDatabases } from "../../nodes/discover-databases.ts";
import { listNodes } from "../../nodes/list.ts";
import { previewSource } from "../../nodes/preview-source.ts";
import { getNode } from "../../nodes/read.ts";
import { rotateNodeToken } from "../../nodes/rotate-token.ts";
import { updateNode } from "../../nodes/update.ts";

export function mountNodeRoutes(app: App): void {
  serveUser(app, adminApi.listNodes, ({ deps, query }) => listNodes(deps, query));
  serveUser(app, adminApi.createNode, async ({ deps, actor, body }) => {
    const [made] = await createNodes(deps, actor, [body]);
    return made as CreatedNode;
  });
  serveUser(app, adminApi.createNodes, async ({ deps, actor, body }) => {
    const wanted = body.names.map((name) => ({ name, labels: body.labels }));
    return { items: await createNodes(deps, actor, wanted) };
  });
  serveUser(app, adminApi.getNode, ({ deps, params }) => getNode(deps, params.id));
  serveUser(app, adminApi.updateNode, ({ deps, actor, params, body }) =>
    updateNode(deps, actor, params.id, body),
  );
  serveUser(app, adminApi.deleteNode, async ({ deps, actor, params }) => {
    await deleteNode(deps, actor, params.id);
    return DONE;
  });
  serveUser(app, adminApi.rotateNodeToken, ({ deps, actor, params }) =>
    rotateNodeToken(deps, actor, params.id),
  );
  serveUser(app, adminApi.createNodeCode, async ({ deps, actor, params, c }) =>
    withCommand(c, await createNodeCode(deps, actor, params.id)),
  );
  serveUser(app, adminApi.createEnrollmentCode, async ({ deps, actor, body, c }) =>
    withCommand(c, await createEnrollmentCode(deps, actor, body)),
  );
  serveUser(app, adminApi.discoverDatabases, ({ deps, params, body }) =>
    discoverDatabases(deps, params.id, body),
  );
  serveUser(app, adminApi.previewSource, ({ deps, params, body }) => previewSource(deps, params.id, body));
  serveUser(app, adminApi.browseNode, ({ deps, params, query }) => browseNode(deps, params.id, query.path));
}

const withCommand = (c: Call<typeof adminApi.createNodeCode>["c"], made: NewCode) => ({
  ...made,
  command: installCommand(new URL(c.req.url).origin, made.code),
});
