import { adminApi, agentApi } from "../../protocol/index.ts";
import { enroll } from "../enrollment/enroll.ts";
import { type App, servePublic } from "../http.ts";
import { installScript } from "../install/script.ts";

export function mountEnrollRoutes(app: App): void {
  servePublic(app, agentApi.enroll, ({ deps, body, ipAddress }) =>
    enroll(deps, body.code, { hostname: body.hostname ?? "", ipAddress }),
  );
  servePublic(
    app,
    adminApi.installScript,
    async ({ c }) =>
      new Response(installScript(new URL(c.req.url).origin), {
        headers: { "Content-Type": "text/x-shellscript; charset=utf-8", "Cache-Control": "no-store" },
      }),
  );
}
