// What the Doorbell is compared with in bench/modes.ts: the same queue in D1 and the same check of a token, but agents
// wait for their commands in a request that is held up to 25 s. Only as much as it takes to measure that.
import { DurableObject } from "cloudflare:workers";

const HOLD_MS = 25_000;

/** Holds the requests of agents that wait, and lets go of one when there is something for its node. */
export class Waiting extends DurableObject {
  #waiting = new Map();

  wait(nodeId) {
    // Whoever waited before has been answered in another way, or is gone.
    this.#letGo(nodeId, false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#letGo(nodeId, false), HOLD_MS);
      this.#waiting.set(nodeId, { resolve, timer });
    });
  }

  ring(nodeId) {
    this.#letGo(nodeId, true);
  }

  #letGo(nodeId, rung) {
    const waiter = this.#waiting.get(nodeId);
    this.#waiting.delete(nodeId);
    clearTimeout(waiter?.timer);
    waiter?.resolve(rung);
  }
}

const calls = {
  async setup({ DB }, { nodes }) {
    await DB.batch([
      DB.prepare("create table nodes (id integer primary key, token text not null unique)"),
      DB.prepare(
        "create table commands (id integer primary key, node_id integer not null, status text not null)",
      ),
      DB.prepare("create index pending on commands (node_id) where status = 'pending'"),
      DB.prepare("insert into nodes select value ->> 'id', value ->> 'token' from json_each(?)").bind(
        JSON.stringify(nodes),
      ),
    ]);
    return {};
  },

  async poll({ DB, WAITING }, { token }) {
    const node = await DB.prepare("select id from nodes where token = ?").bind(token).first();
    // Waits before it looks, so that nothing can come in between.
    const rung = WAITING.getByName("all").wait(node.id);
    const ready = await DB.prepare("select id from commands where node_id = ? and status = 'pending' limit 1")
      .bind(node.id)
      .first();
    if (!ready && !(await rung)) return { command: null };
    const command = await DB.prepare(
      `update commands set status = 'dispatched' where id in (
         select id from commands where node_id = ? and status = 'pending' limit 1) returning id`,
    )
      .bind(node.id)
      .first();
    return { command };
  },

  async enqueue({ DB, WAITING }, { nodeId }) {
    await DB.prepare("insert into commands (node_id, status) values (?, 'pending')").bind(nodeId).run();
    await WAITING.getByName("all").ring(nodeId);
    return {};
  },
};

export default {
  async fetch(request, env) {
    const call = calls[new URL(request.url).pathname.slice(1)];
    return Response.json(call ? await call(env, await request.json()) : {});
  },
};
