import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { adminApi, agentApi, type Endpoint, fillPath } from "../../protocol/index.ts";
import { enqueueStatement } from "../../worker/commands/enqueue.ts";
import { randomHex } from "../../worker/secrets/hash.ts";
import { pendingAccess } from "../../worker/tasks/source-access.ts";
import { aNode, asRole, aUser, call, deps, everyRow, fromNewAddress, ORIGIN, signedIn } from "./master.ts";

const readable: [string, Endpoint][] = Object.entries<Endpoint>(adminApi).filter(
  ([, e]) => e.method === "GET",
);

/** Where the database keeps what no answer may show, not even as a hash. */
const hidden: [table: string, column: string][] = [
  ["users", "password_hash"],
  ["sessions", "token_sha256"],
  ["api_keys", "key_sha256"],
  ["nodes", "token_sha256"],
  ["nodes", "previous_token_sha256"],
  ["storage_targets", "secrets"],
  ["storage_targets", "seal_id"],
  ["backup_tasks", "secrets"],
  ["backup_tasks", "seal_id"],
  ["install_codes", "code_sha256"],
  ["agent_commands", "lease_token"],
];

/** What is secret in this world, in the open as somebody once had it. */
let planted: Record<string, string>;
let admin: Record<string, string>;
let ids: Record<string, number>;

const must = <T>(answer: { status: number; message: string; data: T }): T => {
  if (answer.status !== 200) throw new Error(`the world could not be made: ${answer.message}`);
  return answer.data;
};

beforeAll(async () => {
  admin = await asRole("admin");
  const user = await aUser("operator");
  const cookie = await signedIn(user);
  const s3 = {
    accessKeyId: `AKIA${randomHex(8)}`,
    secretAccessKey: `s3-${randomHex(20)}`,
    sessionToken: `session-${randomHex(20)}`,
  };
  const target = must(
    await call(admin, adminApi.createTarget, {
      body: {
        name: "planted target",
        type: "s3",
        config: { endpoint: "https://s3.test", bucket: "bucket" },
        secrets: s3,
      },
    }),
  );
  const key = must(
    await call(admin, adminApi.createApiKey, { body: { name: "planted key", role: "viewer" } }),
  ).key;
  const offline = must(await call(admin, adminApi.createNode, { body: { name: "planted node" } }));
  const rotated = must(
    await call(admin, adminApi.rotateNodeToken, { params: { id: offline.node.id } }),
  ).token;
  const code = must(await call(admin, adminApi.createNodeCode, { params: { id: offline.node.id } })).code;
  const newCode = must(
    await call(admin, adminApi.createEnrollmentCode, { body: { name: "planted code" } }),
  ).code;
  const node = await aNode({ ours: true });
  const databasePassword = `db-${randomHex(20)}`;
  const run = await aRunInHand(node, target.id, databasePassword);
  const asked = await aQuestion(node.id);
  const restore = await env.DB.prepare(
    `insert into restore_records (record_id, target_id, node_id, status, conflict, created_at)
     values (?, ?, ?, 'failed', 'fail', ?) returning id`,
  )
    .bind(run.recordId, target.id, node.id, Date.now())
    .first<{ id: number }>();
  const verification = await env.DB.prepare(
    `insert into verifications (task_id, record_id, target_id, node_id, status, trigger, grade, created_at)
     values (?, ?, ?, ?, 'failed', 'manual', 3, ?) returning id`,
  )
    .bind(run.taskId, run.recordId, target.id, node.id, Date.now())
    .first<{ id: number }>();

  ids = {
    nodes: offline.node.id,
    targets: target.id,
    tasks: run.taskId,
    records: run.recordId,
    restores: restore?.id ?? 0,
    verifications: verification?.id ?? 0,
  };
  planted = {
    ...s3,
    databasePassword,
    asked,
    password: user.password,
    session: cookie.Cookie.replace("backupx_session=", ""),
    adminKey: admin.Authorization?.replace("Bearer ", "") ?? "",
    key,
    nodeToken: offline.token,
    rotated,
    otherNodeToken: node.token,
    code,
    newCode,
    masterKey: env.MASTER_KEY,
    masterKeyBytes: atob(env.MASTER_KEY),
  };
  for (const [name, value] of Object.entries(planted)) expect(value, name).toMatch(/.{8}/);
});

/** A backup that the node has been handed, so that a lease and its token exist. */
async function aRunInHand(
  node: { id: number; headers: Record<string, string> },
  targetId: number,
  password: string,
) {
  const task = must(
    await call(admin, adminApi.createTask, {
      body: {
        name: "planted task",
        nodeId: node.id,
        source: { type: "postgresql", user: "backup" },
        secrets: { password },
        targetIds: [targetId],
      },
    }),
  );
  const { recordId } = must(await call(admin, adminApi.runTask, { params: { id: task.id } }));
  must(await call(node.headers, agentApi.poll, { body: { running: [], max: 1 } }));
  return { taskId: task.id, recordId };
}

/** A question to a node that carries a password, and that waits while the walk goes on. Returns that password. */
async function aQuestion(nodeId: number): Promise<string> {
  const password = `asked-${randomHex(20)}`;
  const payload = {
    server: { type: "mysql" },
    ...(await pendingAccess(deps, aServer, { secrets: { password }, taskId: null })),
  };
  await enqueueStatement(deps, { nodeId, type: "discover_db", payload }).run();
  return password;
}

const aServer = adminApi.discoverDatabases.body.parse({ server: { type: "mysql" } }).server;

const hiddenValues = async (): Promise<[string, string][]> => {
  const found: [string, string][] = [];
  for (const [table, column] of hidden) {
    const { results } = await env.DB.prepare(
      `select "${column}" as value from "${table}" where "${column}" is not null`,
    ).all<{ value: string }>();
    expect(results.length, `${table}.${column} has something to hide`).toBeGreaterThan(0);
    found.push(...results.map(({ value }): [string, string] => [`${table}.${column}`, value]));
  }
  return found;
};

/** The text of an answer; of one that does not end, what comes within half a second. */
async function read(e: Endpoint): Promise<{ status: number; text: string }> {
  const noun = e.path.split("/")[2] ?? "";
  const query = e.query.safeParse({}).success ? "" : "?schedule=0+3+*+*+*&text=a";
  const response = await exports.default.fetch(
    `${ORIGIN}${fillPath(e.path, { id: ids[noun] ?? 1 })}${query}`,
    {
      headers: { ...admin, ...fromNewAddress() },
    },
  );
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const timeUp = scheduler.wait(500).then(() => ({ done: true, value: undefined }));
  let text = JSON.stringify([...response.headers]);
  for (;;) {
    const next = await Promise.race([reader?.read() ?? timeUp, timeUp]);
    if (next.value) text += next.value;
    if (next.done) break;
  }
  await reader?.cancel().catch(() => {});
  return { status: response.status, text };
}

/**
 * What cannot be answered here: a node that has never been there has no directory, a database no files to list, and news
 * come over a socket, which tells of nouns and numbers only.
 */
const refused: Record<string, number> = { browseNode: 409, recordContents: 400, live: 426 };

describe("no secret", () => {
  it.each(readable)("is in what %s answers to an administrator", async (name, e) => {
    const { status, text } = await read(e);
    expect(status, text).toBe(refused[name] ?? 200);
    for (const [what, value] of [...Object.entries(planted), ...(await hiddenValues())]) {
      expect(text.includes(value), `${name} shows ${what}`).toBe(false);
    }
    if (name === "openapi") return;
    expect(text).not.toMatch(/"(password_?hash|\w*_?sha256|secrets|seal_?id|lease_?token|token|key)"\s*:/i);
  });

  it("is missed because the walk sees nothing", async () => {
    expect((await read(adminApi.listTargets)).text).toContain("planted target");
    expect((await read(adminApi.getTarget)).text).toContain("secretAccessKey");
    expect((await read(adminApi.getTask)).text).toContain('"secretsSet":["password"]');
    expect((await read(adminApi.listAudit)).text).toContain("planted node");
    expect((await read(adminApi.getRecord)).text).toContain("planted task");
    expect((await read(adminApi.recordStream)).text).toContain("event: state");
  });

  it("lies in the database in the open", async () => {
    const everything = Object.values(await everyRow()).join("\n");
    for (const [what, value] of Object.entries(planted)) {
      expect(everything.includes(value), `${what} is stored in the open`).toBe(false);
    }
  });

  it("comes back in the words of a refusal", async () => {
    const secret = `typo-${randomHex(20)}`;
    const refusals = [
      await call(admin, adminApi.updateTarget, {
        params: { id: ids.targets ?? 0 },
        body: { secrets: { accessKeyId: "a", secretAccessKey: [secret] } },
      }),
      await call(admin, adminApi.updateTarget, {
        params: { id: ids.targets ?? 0 },
        body: { config: { endpoint: `not an address ${secret}`, bucket: "b" } },
      }),
      await call(admin, adminApi.createUser, {
        body: { username: `no ${secret}`, password: "x", role: secret },
      }),
      await call(admin, adminApi.updateTask, {
        params: { id: ids.tasks ?? 0 },
        body: { secrets: { password: [secret] } },
      }),
      await call(admin, adminApi.discoverDatabases, {
        params: { id: ids.nodes ?? 0 },
        body: { server: { type: "mysql" }, secrets: { pasword: secret } },
      }),
      await call({}, agentApi.enroll, { body: { code: secret } }),
      await call({ "X-Agent-Token": secret }, agentApi.self),
      await call({ Authorization: `Bearer bxk_${secret}` }, adminApi.me),
    ];
    for (const refusal of refusals) {
      expect(refusal.status).toBeGreaterThanOrEqual(400);
      expect(refusal.status).toBeLessThan(500);
      expect(refusal.message).not.toContain(secret);
    }
  });
});
