import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { getTableName, is } from "drizzle-orm";
import { SQLiteTable } from "drizzle-orm/sqlite-core";
import { describe, expect, it, vi } from "vitest";
import { adminApi, agentApi, type LiveNews, liveClose, liveWords } from "../../protocol/index.ts";
import * as schema from "../../worker/db/schema.ts";
import { nounOfTable } from "../../worker/live/news.ts";
import { identityOfApiKey } from "../../worker/users/authenticate.ts";
import { counting } from "./counting.ts";
import { aNode, asRole, aTask, aUser, call, deps, everyRow, ORIGIN, signedIn } from "./master.ts";
import { aClaimedRun, goodReport, idle } from "./runs.ts";

type Console = {
  heard: LiveNews[];
  words: string[];
  closed: Promise<{ code: number }>;
  send(text: string): void;
};

const ask = (headers: Record<string, string>) =>
  exports.default.fetch(`${ORIGIN}${adminApi.live.path}`, { headers: { Upgrade: "websocket", ...headers } });

/** Opened when everything that was done before has been told. */
async function openConsole(headers: Record<string, string>): Promise<Console> {
  await quietWhile();
  const response = await ask(headers);
  const socket = response.webSocket;
  if (!socket) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  const [heard, words]: [LiveNews[], string[]] = [[], []];
  const closed = new Promise<{ code: number }>((resolve) =>
    socket.addEventListener("close", ({ code }) => resolve({ code })),
  );
  socket.addEventListener("message", ({ data }) => {
    if (String(data).startsWith("{")) heard.push(JSON.parse(String(data)));
    else words.push(String(data));
  });
  socket.accept();
  return { heard, words, closed, send: (text) => socket.send(text) };
}

const nounsOf = ({ heard }: Console) => new Set(heard.flatMap(({ changed }) => changed));
const endedOf = ({ heard }: Console) => heard.flatMap(({ ended }) => ended);
/** Longer than news are gathered for. */
const quietWhile = () => new Promise((resolve) => setTimeout(resolve, 400));

describe("a console's socket", () => {
  it("is for who is signed in, and for pages of this master", async () => {
    expect((await ask({})).status).toBe(401);
    expect((await ask((await aNode()).headers)).status).toBe(401);
    const cookie = await signedIn(await aUser("viewer"));
    const foreign = await ask({ ...cookie, Origin: "https://elsewhere.test" });
    expect([foreign.status, await foreign.json()]).toMatchObject([403, { code: "CROSS_SITE_REQUEST" }]);
    await openConsole({ ...cookie, Origin: ORIGIN });
    const plain = await exports.default.fetch(`${ORIGIN}${adminApi.live.path}`, { headers: cookie });
    expect(plain.status).toBe(426);
  });

  it("is answered when it asks whether anybody is there", async () => {
    const open = await openConsole(await asRole("viewer"));
    open.send(liveWords.ping);
    await vi.waitFor(() => expect(open.words).toEqual([liveWords.pong]));
  });

  it("hears what changed, and not what its role may not see", async () => {
    const [viewer, admin] = await Promise.all([asRole("viewer"), asRole("admin")]);
    const [low, high] = [await openConsole(viewer), await openConsole(admin)];
    await call(admin, adminApi.createNode, { body: { name: "told-of" } });
    await vi.waitFor(() => expect(nounsOf(high)).toEqual(new Set(["nodes", "audit"])));
    await vi.waitFor(() => expect(nounsOf(low)).toEqual(new Set(["nodes"])));
    expect(JSON.stringify(low.heard)).not.toContain("told-of");
  });

  it("hears nothing of what was refused", async () => {
    const open = await openConsole(await asRole("admin"));
    await call(await asRole("viewer"), adminApi.createNode, { body: { name: "refused" } });
    await call(await asRole("admin"), adminApi.createNode, { body: { name: "" } });
    await call(await asRole("admin"), adminApi.deleteNode, { params: { id: 999_999 } });
    await quietWhile();
    expect(open.heard).toEqual([]);
  });

  it("hears of a run when it starts, moves on, and how it ended, but not of each step", async () => {
    const node = await aNode({ ours: true });
    const run = await aClaimedRun(node);
    const report = (body: object) =>
      call(node.headers, agentApi.updateRecord, { params: { id: run.recordId }, body });
    const open = await openConsole(await asRole("operator"));
    await report({ status: "running" });
    await vi.waitFor(() => expect(nounsOf(open)).toEqual(new Set(["records"])));
    open.heard.length = 0;
    for (const seq of [1, 2, 3]) await report({ status: "running", log: [{ seq, text: "line\n" }] });
    await call(node.headers, agentApi.renewLease, {
      params: { id: run.commandId },
      body: { leaseToken: run.leaseToken },
    });
    await call(node.headers, agentApi.heartbeat, { body: { token: node.token } });
    await call(node.headers, agentApi.poll, { body: idle });
    await quietWhile();
    expect(open.heard).toEqual([]);
    await report(goodReport(run));
    await vi.waitFor(() =>
      expect(endedOf(open)).toEqual([
        { kind: "backup", id: run.recordId, status: "success", name: run.task.name, error: "" },
      ]),
    );
    await call(node.headers, agentApi.commandResult, {
      params: { id: run.commandId },
      body: { success: true, leaseToken: run.leaseToken },
    });
    await vi.waitFor(() => expect(nounsOf(open)).toContain("commands"));
    expect(endedOf(open)).toHaveLength(1);
  });

  it("hears why a run failed, also when only its command says so", async () => {
    const [node, other] = [await aNode({ ours: true }), await aNode({ ours: true })];
    const [told, untold] = [await aClaimedRun(node), await aClaimedRun(other)];
    const open = await openConsole(await asRole("viewer"));
    await call(node.headers, agentApi.updateRecord, {
      params: { id: told.recordId },
      body: { status: "failed", errorMessage: "no space left" },
    });
    await call(other.headers, agentApi.commandResult, {
      params: { id: untold.commandId },
      body: { success: false, errorMessage: "killed", leaseToken: untold.leaseToken },
    });
    await vi.waitFor(() =>
      expect(endedOf(open)).toMatchObject([
        { id: told.recordId, status: "failed", name: told.task.name, error: "no space left" },
        { id: untold.recordId, status: "failed", name: untold.task.name, error: "killed" },
      ]),
    );
  });

  it("hears of a node that comes and goes", async () => {
    const node = await aNode();
    await env.DB.prepare("update nodes set status = 'offline', last_seen = 5 where id = ?")
      .bind(node.id)
      .run();
    const open = await openConsole(await asRole("viewer"));
    await call(node.headers, agentApi.heartbeat, { body: { token: node.token } });
    await vi.waitFor(() => expect(nounsOf(open)).toEqual(new Set(["nodes", "notifications"])));
  });

  it("hears after its object was evicted, too", async () => {
    const open = await openConsole(await asRole("viewer"));
    await evictDurableObject(env.NOTICEBOARD.getByName("consoles"));
    await aTask(await aNode({ ours: true }));
    await vi.waitFor(() => expect(nounsOf(open)).toEqual(new Set(["targets", "tasks"])));
  });

  it.each([
    ["signs out", async (user: User) => call(await signedIn(user), adminApi.logout)],
    [
      "is disabled",
      async (user: User) =>
        call(await asRole("admin"), adminApi.updateUser, {
          params: { id: user.id },
          body: { disabled: true },
        }),
    ],
    [
      "is removed",
      async (user: User) => call(await asRole("admin"), adminApi.deleteUser, { params: { id: user.id } }),
    ],
  ])("must show again who it is when somebody %s", async (_what, change) => {
    const user = await aUser("viewer");
    const open = await openConsole(await signedIn(user));
    await change(user);
    expect((await open.closed).code).toBe(liveClose.askAgain);
  });

  it("closes the oldest of one person's when there are too many, and nobody else's", async () => {
    const [greedy, other] = [await asRole("viewer"), await openConsole(await asRole("viewer"))];
    const oldest = await openConsole(greedy);
    for (let count = 1; count < 12; count++) await openConsole(greedy);
    const newest = await openConsole(greedy);
    expect((await oldest.closed).code).toBe(liveClose.tooMany);
    await call(await asRole("admin"), adminApi.createNode, { body: { name: "still-told" } });
    for (const open of [newest, other]) await vi.waitFor(() => expect(nounsOf(open)).toContain("nodes"));
  });
});

type User = { id: number; username: string; password: string };

describe("what an open console costs", () => {
  it("is one look at who opens it, and then nothing in the database, though the board tells and sleeps", async () => {
    const viewer = await asRole("viewer");
    // The first use of a key notes that it was used.
    await call(viewer, adminApi.me);
    const { deps: counted, count } = counting(deps);
    const key = viewer["Authorization"]?.slice("Bearer ".length) ?? "";
    await identityOfApiKey(counted, key);
    expect(count).toEqual({ queries: 1, rowsRead: 1, rowsWritten: 0 });
    const before = await everyRow();
    const open = await openConsole(viewer);
    await evictDurableObject(env.NOTICEBOARD.getByName("consoles"));
    await quietWhile();
    expect(open.heard).toEqual([]);
    expect(await everyRow()).toEqual(before);
    const stored = await runInDurableObject(env.NOTICEBOARD.getByName("consoles"), async (_, state) => ({
      keys: [...state.storage.kv.list()],
      alarm: await state.storage.getAlarm(),
    }));
    expect(stored).toEqual({ keys: [], alarm: null });
  });
});

describe("every table", () => {
  it("is shown under a noun, or is known to be shown under none", () => {
    const tables = Object.values(schema).filter((table) => is(table, SQLiteTable));
    expect(Object.keys(nounOfTable).sort()).toEqual(tables.map(getTableName).sort());
  });
});
