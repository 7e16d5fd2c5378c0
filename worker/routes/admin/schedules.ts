import { adminApi } from "../../../protocol/index.ts";
import { type App, serveUser } from "../../http.ts";
import { nextRuns, validateSchedule } from "../../schedules/expression.ts";

export function mountScheduleRoutes(app: App): void {
  serveUser(app, adminApi.previewSchedule, async ({ deps, query }) => {
    validateSchedule(query.schedule, query.timeZone);
    return { runs: nextRuns(query.schedule, query.timeZone, deps.now(), query.count) };
  });
}
