import master, { Doorbell, Noticeboard } from "../../worker/index.ts";
import { countedDatabase } from "./counting.ts";

export { Doorbell, Noticeboard };

/** The master, which says in a header of each answer how many rows the database has read for it. */
export default {
  scheduled: master.scheduled,
  async fetch(request, env, context) {
    let rows = 0;
    const db = countedDatabase(env.DB, (_sql, { meta }) => {
      rows += meta.rows_read;
    });
    const answer = await master.fetch(request, { ...env, DB: db }, context);
    if (answer.webSocket) return answer;
    const counted = new Response(answer.body, answer);
    counted.headers.set("x-rows-read", String(rows));
    return counted;
  },
} satisfies ExportedHandler<Env>;
