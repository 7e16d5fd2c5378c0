import { adminApi } from "../../protocol/index.ts";
import { DomainError } from "../errors.ts";
import { type App, refuseForeignOrigin, serveUser } from "../http.ts";

export function mountLiveRoutes(app: App): void {
  serveUser(app, adminApi.live, async ({ deps, identity, c }) => {
    if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
      throw new DomainError("UPGRADE_REQUIRED", "this is a WebSocket: ask for an upgrade");
    }
    // A browser lets any site open a socket with this one's cookie.
    refuseForeignOrigin(c);
    const { kind, id, role } = identity;
    return deps.board.open({ person: `${kind} ${id}`, role }, c.req.raw);
  });
}
