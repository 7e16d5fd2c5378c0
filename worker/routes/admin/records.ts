import { adminApi } from "../../../protocol/index.ts";
import { removeCopy } from "../../copies/remove.ts";
import { startCopy } from "../../copies/start.ts";
import { DomainError } from "../../errors.ts";
import { type App, DONE, requireRole, serveUser } from "../../http.ts";
import { cancelRecord } from "../../records/cancel.ts";
import { readContents } from "../../records/contents.ts";
import { lockRecord } from "../../records/lock.ts";
import { readLog } from "../../records/log.ts";
import { listRecords, readRecord, readRecordDetail } from "../../records/read.ts";
import { removeRecord } from "../../records/remove.ts";
import { startRun } from "../../records/start-run.ts";
import { startRestore } from "../../restores/start.ts";
import { streamRun } from "../stream.ts";

export function mountRecordRoutes(app: App): void {
  serveUser(app, adminApi.runTask, async ({ deps, actor, params }) => {
    const started = await startRun(deps, actor, { taskId: params.id, trigger: "manual" });
    if (!started) throw new DomainError("BACKUP_TASK_NOT_FOUND", `there is no task ${params.id}`);
    return started;
  });
  serveUser(app, adminApi.listRecords, async ({ deps, query }) => listRecords(deps, query));
  serveUser(app, adminApi.getRecord, async ({ deps, params }) => readRecordDetail(deps, params.id));
  serveUser(app, adminApi.recordLog, async ({ deps, params, query }) => {
    await readRecord(deps, params.id);
    return readLog(deps, "backup", params.id, query);
  });
  serveUser(app, adminApi.recordStream, async ({ deps, params, c }) => {
    await readRecord(deps, params.id);
    return streamRun(c, deps, "backup", params.id, () => readRecord(deps, params.id));
  });
  serveUser(app, adminApi.cancelRecord, async ({ deps, actor, params }) => {
    await cancelRecord(deps, actor, params.id);
    return DONE;
  });
  serveUser(app, adminApi.deleteRecord, async ({ deps, actor, params, query }) => {
    if (query.forget) requireRole(actor.role, "admin");
    return { ...DONE, ...(await removeRecord(deps, actor, params.id, query)) };
  });
  serveUser(app, adminApi.lockRecord, async ({ deps, actor, params, body }) =>
    lockRecord(deps, actor, params.id, body.locked),
  );
  serveUser(app, adminApi.copyRecord, async ({ deps, actor, params, body }) =>
    startCopy(deps, actor, params.id, body),
  );
  serveUser(app, adminApi.removeCopy, async ({ deps, actor, params, query }) => {
    if (query.forget) requireRole(actor.role, "admin");
    await removeCopy(deps, actor, params.id, params.targetId, query);
    return DONE;
  });
  serveUser(app, adminApi.recordContents, async ({ deps, params, query }) =>
    readContents(deps, params.id, query),
  );
  serveUser(app, adminApi.restoreRecord, async ({ deps, actor, params, body }) =>
    startRestore(deps, actor, params.id, body),
  );
}
