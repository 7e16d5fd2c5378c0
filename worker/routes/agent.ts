import { agentApi, timing } from "../../protocol/index.ts";
import { deliver } from "../commands/deliver.ts";
import { finishCommand } from "../commands/finish.ts";
import { renewLease } from "../commands/renew.ts";
import { takeCommands } from "../commands/take.ts";
import { copySpec } from "../copies/spec.ts";
import { updateCopy } from "../copies/update.ts";
import { DomainError } from "../errors.ts";
import { type App, DONE, serveAgent, serveHandshake } from "../http.ts";
import { authenticateAgent } from "../nodes/authenticate.ts";
import { heartbeat } from "../nodes/heartbeat.ts";
import { markPolled } from "../nodes/mark-seen.ts";
import { taskSpec } from "../records/spec.ts";
import { updateRecord } from "../records/update.ts";
import { restoreSpec } from "../restores/spec.ts";
import { updateRestore } from "../restores/update.ts";
import { verificationSpec } from "../verifications/spec.ts";
import { updateVerification } from "../verifications/update.ts";

export function mountAgentRoutes(app: App): void {
  serveHandshake(app, agentApi.heartbeat, async ({ deps, body, headerToken }) => {
    const token = headerToken ?? body.token;
    if (!token) throw new DomainError("INVALID_INPUT", "missing token");
    const node = await authenticateAgent(deps, token);
    await heartbeat(deps, node, body);
    return {
      ...DONE,
      nodeId: node.id,
      name: node.name,
      heartbeatSeconds: timing.heartbeatSeconds,
      pollSeconds: timing.pollSeconds,
      doorbell: agentApi.doorbell.path,
      orders: node.paused ? [{ type: "pause" as const }] : [],
    };
  });
  serveAgent(app, agentApi.poll, async ({ deps, node, body }) => {
    await markPolled(deps, node);
    const claimer = body ? { heldIds: body.running.map((command) => command.id), max: body.max } : null;
    const taken = await takeCommands(deps, node, claimer);
    const commands = await Promise.all(
      taken.commands.map((command) => deliver(deps, node, command, claimer !== null)),
    );
    if (!claimer) return { command: commands[0] ?? null };
    return {
      command: commands[0] ?? null,
      commands,
      orders: [
        ...taken.cancelIds.map((commandId) => ({ type: "cancel" as const, commandId })),
        ...(node.paused ? [{ type: "pause" as const }] : []),
      ],
    };
  });
  serveAgent(app, agentApi.commandResult, async ({ deps, node, params, body }) => {
    await finishCommand(deps, node, params.id, body);
    return DONE;
  });
  serveAgent(app, agentApi.renewLease, async ({ deps, node, params, body }) => {
    const { cancelRequested } = await renewLease(deps, node, params.id, body);
    return {
      leaseSeconds: timing.leaseSeconds,
      orders: cancelRequested ? [{ type: "cancel" as const, commandId: params.id }] : [],
    };
  });
  serveAgent(app, agentApi.taskSpec, async ({ deps, node, params, query }) =>
    taskSpec(deps, node, params.id, query.recordId),
  );
  serveAgent(app, agentApi.updateRecord, async ({ deps, node, params, body }) => {
    await updateRecord(deps, node, params.id, body);
    return DONE;
  });
  serveAgent(app, agentApi.restoreSpec, async ({ deps, node, params }) => restoreSpec(deps, node, params.id));
  serveAgent(app, agentApi.updateRestore, async ({ deps, node, params, body }) => {
    await updateRestore(deps, node, params.id, body);
    return DONE;
  });
  serveAgent(app, agentApi.verificationSpec, async ({ deps, node, params }) =>
    verificationSpec(deps, node, params.id),
  );
  serveAgent(app, agentApi.updateVerification, async ({ deps, node, params, body }) => {
    await updateVerification(deps, node, params.id, body);
    return DONE;
  });
  serveAgent(app, agentApi.copySpec, async ({ deps, node, params }) => copySpec(deps, node, params.id));
  serveAgent(app, agentApi.updateCopy, async ({ deps, node, params, body }) => {
    await updateCopy(deps, node, params.id, body);
    return DONE;
  });
  serveAgent(app, agentApi.self, async ({ deps, node }) => ({
    id: node.id,
    name: node.name,
    status: node.status,
    lastSeen: new Date(node.lastSeen ?? deps.now()).toISOString(),
  }));
}
