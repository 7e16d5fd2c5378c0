import { env } from "cloudflare:workers";
import { it } from "vitest";
import { aNode } from "./master.ts";
import { openSocket } from "./sockets.ts";
it("probe", async () => {
  const show = async (sql: string, ...v: unknown[]) => { const r = await env.DB.prepare(sql).bind(...v).all(); console.log(sql.slice(0,90), JSON.stringify(r.results).slice(0,200), r.meta.rows_read, r.meta.rows_written); };
  const q = "select id from nodes where status = 'online' and connection = 'poll' and last_seen < ?1 limit 1";
  await show("explain query plan " + q, 5);
  await show(q, 5);
  const n = await aNode({ours:true});
  await show(q, 5);
  await show("select exists(" + q + ") as x", 5);
  await env.DB.prepare("update nodes set connection='socket'").run();
  await show(q, 5);
  await show("select 1 from nodes indexed by nodes_polling where status = 'online' and connection = 'poll' and last_seen < ?1 limit 1", 5);
  await show("select id from agent_commands where status='dispatched' and lease_expires_at < ? order by lease_expires_at limit 5", 5);
  const s = await openSocket(n.headers); const t = Date.now(); s.close(); await s.closed; console.log("closed after", Date.now()-t);
});
