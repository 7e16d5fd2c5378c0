import { agentApi } from "../../protocol/index.ts";
import { markConnected } from "../doorbell/mark-connected.ts";
import { DomainError } from "../errors.ts";
import { type App, serveAgent } from "../http.ts";

export function mountDoorbellRoutes(app: App): void {
  serveAgent(app, agentApi.doorbell, async ({ deps, node, c }) => {
    if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
      throw new DomainError("UPGRADE_REQUIRED", "this is a WebSocket: ask for an upgrade");
    }
    const answer = await deps.bell.open(node.id, c.req.raw);
    await markConnected(deps, node).catch((error: unknown) =>
      deps.log("socket not noted; the next census will", { nodeId: node.id, error: String(error) }),
    );
    return answer;
  });
}
