import { adminApi } from "../../../protocol/index.ts";
import { DomainError } from "../../errors.ts";
import { type App, DONE, serveUser } from "../../http.ts";
import { readLog } from "../../records/log.ts";
import { cancelVerification } from "../../verifications/cancel.ts";
import { listVerifications, readVerification } from "../../verifications/read.ts";
import { startVerification } from "../../verifications/start.ts";
import { streamRun } from "../stream.ts";

export function mountVerificationRoutes(app: App): void {
  serveUser(app, adminApi.verifyRecord, async ({ deps, actor, params, body }) => {
    const started = await startVerification(deps, actor, params.id, body);
    if (!started) throw new DomainError("BACKUP_RECORD_NOT_FOUND", `there is no record ${params.id}`);
    return started;
  });
  serveUser(app, adminApi.listVerifications, async ({ deps, query }) => listVerifications(deps, query));
  serveUser(app, adminApi.getVerification, async ({ deps, params }) => readVerification(deps, params.id));
  serveUser(app, adminApi.verificationLog, async ({ deps, params, query }) => {
    await readVerification(deps, params.id);
    return readLog(deps, "verification", params.id, query);
  });
  serveUser(app, adminApi.verificationStream, async ({ deps, params, c }) => {
    await readVerification(deps, params.id);
    return streamRun(c, deps, "verification", params.id, () => readVerification(deps, params.id));
  });
  serveUser(app, adminApi.cancelVerification, async ({ deps, actor, params }) => {
    await cancelVerification(deps, actor, params.id);
    return DONE;
  });
}
