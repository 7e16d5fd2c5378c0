import { makeApp } from "./app.ts";
import { makeDeps } from "./deps.ts";
import { sweepForAMinute } from "./sweeps/sweep.ts";

export { Doorbell } from "./doorbell/doorbell.ts";
export { Noticeboard } from "./live/noticeboard.ts";

const app = makeApp();

export default {
  fetch: app.fetch,
  scheduled: (event, env) => sweepForAMinute(makeDeps(env), event.scheduledTime),
} satisfies ExportedHandler<Env>;
