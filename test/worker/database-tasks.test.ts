import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, timing } from "../../protocol/index.ts";
import { discoverDatabases } from "../../worker/nodes/discover-databases.ts";
import { randomHex } from "../../worker/secrets/hash.ts";
import { answerOnce } from "./answer-once.ts";
import { aNode, asRole, call, deps } from "./master.ts";
import { copyRow, count, recordRow, set, targetRow, unique } from "./rows.ts";
import { idle } from "./runs.ts";

const postgresql = {
  type: "postgresql",
  host: "db.test",
  user: "backup",
  databases: ["shop", "blog"],
  globals: false,
};
const aPassword = () => `p-${randomHex(16)}`;
type Node = Awaited<ReturnType<typeof aNode>>;

const create = async (node: { id: number } | null, changes: Record<string, unknown> = {}) =>
  call(await asRole("operator"), adminApi.createTask, {
    body: {
      name: unique("task"),
      nodeId: node?.id ?? null,
      source: postgresql,
      targetIds: [await targetRow("vault")],
      ...changes,
    },
  });
const made = async (node: { id: number } | null, changes: Record<string, unknown> = {}) => {
  const answer = await create(node, changes);
  expect(answer.message).toBe("success");
  return answer.data;
};
const change = async (id: number, body: unknown) =>
  call(await asRole("operator"), adminApi.updateTask, { params: { id }, body });
const able = async (capabilities: Record<string, unknown>): Promise<Node> => {
  const node = await aNode({ ours: true });
  await set("nodes", node.id, { capabilities: JSON.stringify({ storages: ["vault"], ...capabilities }) });
  return node;
};
const run = async (taskId: number) =>
  call(await asRole("operator"), adminApi.runTask, { params: { id: taskId } });
const specOf = async (node: Node, taskId: number) =>
  call(node.headers, agentApi.taskSpec, { params: { id: taskId } });

/** The password that the node gets when it runs the task; the run is ended at once. */
async function passwordAtRun(node: Node, taskId: number) {
  await run(taskId);
  const { data } = await call(node.headers, agentApi.poll, { body: idle });
  const spec = await specOf(node, taskId);
  const [command] = data.commands ?? [];
  const { id = 0, attempt, leaseToken } = command ?? {};
  const body = { success: false, errorMessage: "enough", attempt, leaseToken };
  await call(node.headers, agentApi.commandResult, { params: { id }, body });
  return spec.data.sourceSecrets.password;
}

describe("a task's password", () => {
  it("is sealed, shown by its name alone, and opened only for the node with a run of it in hand", async () => {
    const node = await aNode({ ours: true });
    const password = aPassword();
    const task = await made(node, { secrets: { password } });
    expect(task.secretsSet).toEqual(["password"]);
    expect(JSON.stringify(task)).not.toContain(password);
    expect(await count("backup_tasks where id = ? and secrets like 'v1.%'", task.id)).toBe(1);
    expect(await specOf(node, task.id)).toMatchObject({ code: "BACKUP_TASK_FORBIDDEN" });
    await run(task.id);
    expect((await specOf(node, task.id)).code).toBe("BACKUP_TASK_FORBIDDEN");
    const [command] = (await call(node.headers, agentApi.poll, { body: idle })).data.commands ?? [];
    expect(JSON.stringify(command)).not.toContain(password);
    expect((await specOf(node, task.id)).data).toMatchObject({
      source: { host: "db.test", port: 5432, databases: ["shop", "blog"] },
      sourceSecrets: { password },
    });
    expect((await specOf(await aNode({ ours: true }), task.id)).code).toBe("BACKUP_TASK_FORBIDDEN");
  });

  it("stays when a change does not send it, is replaced when it does, goes with null", async () => {
    const node = await aNode({ ours: true });
    const [first, second] = [aPassword(), aPassword()];
    const { id } = await made(node, { secrets: { password: first } });
    expect((await change(id, { name: unique("renamed") })).data.secretsSet).toEqual(["password"]);
    const other = { ...postgresql, databases: [], excludeDatabases: ["scratch"] };
    expect((await change(id, { source: other })).status).toBe(200);
    expect(await passwordAtRun(node, id)).toBe(first);
    expect((await change(id, { secrets: { password: second } })).status).toBe(200);
    expect(await passwordAtRun(node, id)).toBe(second);
    expect((await change(id, { secrets: { password: null } })).data.secretsSet).toEqual([]);
    expect(await passwordAtRun(node, id)).toBeNull();
    expect((await change(id, { secrets: { password: first } })).data.secretsSet).toEqual(["password"]);
    expect(await passwordAtRun(node, id)).toBe(first);
  });

  it.each([
    ["host", { host: "evil.test" }],
    ["port", { port: 5433 }],
    ["user", { user: "other" }],
    ["TLS mode", { tls: { mode: "disable" } }],
  ])("is not handed to a server of another %s: it must be sent again", async (_what, changes) => {
    const node = await aNode({ ours: true });
    const { id } = await made(node, { secrets: { password: aPassword() } });
    const moved = { ...postgresql, ...changes };
    const refused = await change(id, { source: moved });
    expect(refused).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(refused.message).toContain("secrets.password");
    const again = aPassword();
    expect((await change(id, { source: moved, secrets: { password: again } })).status).toBe(200);
    expect(await passwordAtRun(node, id)).toBe(again);
  });

  it("is not handed to a run or a restore of the server that the task had before", async () => {
    const node = await aNode({ ours: true });
    const { id, targetIds } = await made(node, { secrets: { password: aPassword() } });
    await set("nodes", node.id, { max_concurrent: 2 });
    await run(id);
    await change(id, { source: { ...postgresql, host: "new.test" }, secrets: { password: aPassword() } });
    await call(node.headers, agentApi.poll, { body: idle });
    expect((await specOf(node, id)).data).toMatchObject({
      source: { host: "db.test" },
      sourceSecrets: { password: null },
      dbPassword: "",
    });
    const restore = await aRestoreInHand(node, id, targetIds[0] ?? 0);
    expect(restore.data).toMatchObject({ source: { host: "db.test" }, sourceSecrets: { password: null } });
  });

  it("goes when the source has none, and is refused where it has no meaning", async () => {
    const node = await aNode({ ours: true });
    const { id } = await made(node, { secrets: { password: aPassword() } });
    const files = { type: "file", paths: ["/etc"] };
    expect((await change(id, { source: files })).data.secretsSet).toEqual([]);
    expect(await count("backup_tasks where id = ? and secrets is null", id)).toBe(1);
    const refused = await create(node, { source: files, secrets: { password: aPassword() } });
    expect(refused).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(refused.message).toContain("password");
  });

  it("opens in no other task", async () => {
    const node = await aNode({ ours: true });
    const one = await made(node, { secrets: { password: aPassword() } });
    const other = await made(node, { secrets: { password: aPassword() } });
    await env.DB.prepare(
      "update backup_tasks set secrets = (select secrets from backup_tasks where id = ?) where id = ?",
    )
      .bind(one.id, other.id)
      .run();
    await run(other.id);
    await call(node.headers, agentApi.poll, { body: idle });
    expect(await specOf(node, other.id)).toMatchObject({ status: 500, code: "INTERNAL_ERROR" });
  });

  it("comes with a restore into the server, while its command is in hand", async () => {
    const node = await aNode({ ours: true });
    const password = aPassword();
    const { id, targetIds } = await made(node, { secrets: { password } });
    const { data } = await aRestoreInHand(node, id, targetIds[0] ?? 0, {
      databases: ["shop"],
      renameDatabases: { shop: "shop_restored" },
    });
    expect(data).toMatchObject({
      source: { type: "postgresql", host: "db.test" },
      sourceSecrets: { password },
      dbPassword: password,
      options: { databases: ["shop"], renameDatabases: { shop: "shop_restored" } },
    });
  });
});

/** A record of the task's present source, and the spec of a restore of it that the node has been handed. */
async function aRestoreInHand(node: Node, taskId: number, targetId: number, options?: object) {
  const recordId = await recordRow(taskId, node.id, {
    source: JSON.stringify(postgresql),
    source_type: "postgresql",
    pipeline: "{}",
    file_name: `t-t${taskId}-r0.tar`,
    compression: "none",
  });
  await set("backup_records", recordId, { file_name: `t-t${taskId}-r${recordId}.tar` });
  await copyRow(recordId, targetId);
  const started = await call(await asRole("operator"), adminApi.restoreRecord, {
    params: { id: recordId },
    body: options ? { options } : {},
  });
  expect(started.message).toBe("success");
  await call(node.headers, agentApi.poll, { body: idle });
  return call(node.headers, agentApi.restoreSpec, { params: { id: started.data.restoreId } });
}

describe("a BackupX Go agent", () => {
  it("gets a database task in its own fields, with its password", async () => {
    const node = await aNode();
    const password = aPassword();
    const gzip = { compression: "gzip" };
    const task = await made(node, { secrets: { password }, pipeline: gzip });
    await run(task.id);
    await call(node.headers, agentApi.poll, { body: undefined });
    expect((await specOf(node, task.id)).data).toMatchObject({
      type: "postgresql",
      dbHost: "db.test",
      dbPort: 5432,
      dbUser: "backup",
      dbPassword: password,
      dbName: "shop,blog",
      dbPath: "",
    });
    const hana = { type: "saphana", instance: "02", databases: ["HDB"] };
    const tenants = await made(node, { source: hana, pipeline: gzip });
    await run(tenants.id);
    await set("nodes", node.id, { max_concurrent: 2 });
    await call(node.headers, agentApi.poll, { body: undefined });
    expect((await specOf(node, tenants.id)).data).toMatchObject({ dbPort: 30_213, dbName: "HDB" });
  });

  it.each([
    ["all databases", { databases: [] }, "name them"],
    ["a comma in a name", { databases: ["a,b"] }, "comma"],
    ["excluded databases", { excludeDatabases: ["x"] }, "excludes no databases"],
    ["TLS", { tls: { mode: "verify-full" } }, "TLS"],
    ["roles", { globals: true }, "globals"],
    ["several MongoDB databases", { type: "mongodb" }, "one MongoDB database"],
    ["a MySQL socket", { type: "mysql", host: "/run/mysqld/mysqld.sock" }, "name or address"],
    ["a command", { type: "command", name: "dump" }, "commands"],
  ])("is refused a task with %s, which it would do wrongly, with a remedy", async (_what, changes, words) => {
    const source = { ...postgresql, ...changes };
    const refused = await create(await aNode(), { source, pipeline: { compression: "gzip" } });
    expect(refused).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect(refused.message).toContain(words);
    expect(refused.message).toContain("install backupx-agent");
  });
});

describe("a node that lacks a tool", () => {
  const refusedBy = async (node: { id: number } | null, changes: Record<string, unknown>) => {
    const answer = await create(node, changes);
    expect(answer).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    return answer.message;
  };

  it("is told when the task is saved, by what to install", async () => {
    const node = await able({ sources: ["file", "sqlite"], engines: {} });
    expect(await refusedBy(node, {})).toMatch(/postgresql.*pg_dump.*postgresql-client/);
    expect(await refusedBy(node, { source: { type: "mongodb" } })).toContain("mongodump");
    expect(await refusedBy(node, { source: { type: "command", name: "x" } })).toMatch(
      /allows no commands: .*agent\.yaml and restart the agent$/,
    );
    const there = await able({ sources: ["postgresql"] });
    const task = await made(there);
    expect((await change(task.id, { source: { type: "mysql" } })).code).toBe("NODE_CANNOT_RUN_TASK");
  });

  it("knows the commands and hooks of its own configuration, and is refused others by name", async () => {
    const node = await able({ sources: ["command", "file"], commands: ["dump"], hooks: ["stop", "start"] });
    const source = { type: "command", name: "dump" };
    const hooks = { before: "stop", afterAlways: "start" };
    expect(await made(node, { source, hooks })).toMatchObject({
      source,
      hooks: { before: "stop", ifBeforeFails: "fail", afterSuccess: null, afterFailure: null },
    });
    expect(await refusedBy(node, { source: { type: "command", name: "rm" } })).toMatch(/rm.*allows: dump/);
    expect(await refusedBy(node, { source, hooks: { before: "stop", afterFailure: "mail" } })).toMatch(
      /hook mail.*stop, start/,
    );
    const go = await aNode();
    const files = { type: "file", paths: ["/etc"] };
    expect(
      await refusedBy(go, { source: files, hooks: { before: "x" }, pipeline: { compression: "gzip" } }),
    ).toContain("hooks");
  });

  it("names the program of a command that its node cannot start, by its use, its path and the remedy", async () => {
    const source = { type: "command", name: "ldap" };
    const without = (use: string) =>
      able({
        sources: ["command"],
        commands: ["ldap", "other"],
        missingPrograms: [{ at: `commands.ldap.${use}`, program: `/opt/${use}`, problem: "ENOENT" }],
      });
    for (const use of ["run", "restore", "verify"]) {
      const node = await without(use);
      const words = await refusedBy(node, { source });
      expect(words).toContain(`${node.name} names /opt/${use} at \`commands.ldap.${use}\``);
      expect(words).toMatch(/ENOENT.*install it.*agent\.yaml and restart the agent$/);
      expect(await made(node, { source: { type: "command", name: "other" } })).toBeTruthy();
    }
    // Agents from before this say nothing of it.
    expect(await made(await able({ sources: ["command"], commands: ["ldap"] }), { source })).toBeTruthy();
  });

  it("names the program of a hook that its node cannot start", async () => {
    const source = { type: "file", paths: ["/srv"] };
    const missingPrograms = [{ at: "hooks.stop.run", program: "/opt/stop", problem: "ENOENT" }];
    const node = await able({ sources: ["file"], hooks: ["stop", "start"], missingPrograms });
    for (const when of ["before", "afterSuccess", "afterFailure", "afterAlways"]) {
      expect(await refusedBy(node, { source, hooks: { [when]: "stop" } })).toContain(
        `${node.name} names /opt/stop at \`hooks.stop.run\``,
      );
    }
    expect(await made(node, { source, hooks: { before: "start" } })).toBeTruthy();
  });

  it("is asked for a command's verifying program where the task is verified", async () => {
    const source = { type: "command", name: "ldap" };
    const commands = { sources: ["command"], commands: ["ldap"] };
    const at = "commands.ldap.verify";
    const missingPrograms = [{ at, program: "/opt/check", problem: "EACCES" }];
    const [with_, without] = [await able(commands), await able({ ...commands, missingPrograms })];
    const verification = { grade: 3, schedule: "0 4 * * *" };
    const by = ({ id }: Node) => ({ source, verification: { ...verification, nodeId: id } });
    expect(await made(without, by(with_))).toBeTruthy();
    expect(await refusedBy(with_, by(without))).toMatch(
      new RegExp(`${without.name} names /opt/check at .*EACCES`),
    );
    expect(await refusedBy(without, { source, verification })).toContain(at);
  });

  it("still makes the backups of a command whose output nothing there takes back any more", async () => {
    const source = { type: "command", name: "ldap" };
    const can = { sources: ["command"], storages: ["vault"], commands: ["ldap"] };
    const node = await able(can);
    const { id, targetIds } = await made(node, { source });
    const losing = (use: string) => {
      const missingPrograms = [{ at: `commands.ldap.${use}`, program: "/opt/gone", problem: "ENOENT" }];
      return set("nodes", node.id, { capabilities: JSON.stringify({ ...can, missingPrograms }) });
    };
    await losing("run");
    expect(await run(id)).toMatchObject({ status: 409, message: expect.stringContaining("/opt/gone") });
    await losing("restore");
    expect((await run(id)).status).toBe(200);
    const recordId = await recordRow(id, node.id, {
      source: JSON.stringify(source),
      source_type: "command",
      pipeline: "{}",
    });
    await copyRow(recordId, targetIds[0] ?? 0);
    await set("backup_records", recordId, { file_name: `ldap-t${id}-r${recordId}.bin` });
    const restore = async (body: object) =>
      call(await asRole("operator"), adminApi.restoreRecord, { params: { id: recordId }, body });
    expect(await restore({})).toMatchObject({ status: 409, message: expect.stringContaining("/opt/gone") });
    expect((await restore({ destination: "/tmp/dump" })).status).toBe(200);
  });

  it("refuses a pool none of whose nodes can, but not an empty one or one with a single able node", async () => {
    const label = unique("pool");
    const inPool = { nodeId: null, poolLabel: label };
    expect((await made(null, inPool)).poolLabel).toBe(label);
    const unable = await able({ sources: ["file"] });
    await set("nodes", unable.id, { labels: JSON.stringify([label]) });
    expect(await refusedBy(null, inPool)).toMatch(new RegExp(`no node of pool ${label} can.*pg_dump`));
    const other = await able({ sources: ["postgresql"] });
    await set("nodes", other.id, { labels: JSON.stringify([label]) });
    expect((await made(null, inPool)).poolLabel).toBe(label);
  });

  it("cannot be asked to restore into a server either, but may write the dump to a path", async () => {
    const node = await aNode({ ours: true });
    const { id, targetIds } = await made(node);
    await aRestoreInHand(node, id, targetIds[0] ?? 0);
    await set("nodes", node.id, { capabilities: JSON.stringify({ sources: ["file"] }) });
    const record = await env.DB.prepare("select max(id) as id from backup_records").first<{ id: number }>();
    const restore = async (body: object) =>
      call(await asRole("operator"), adminApi.restoreRecord, { params: { id: record?.id ?? 0 }, body });
    expect(await restore({})).toMatchObject({ status: 409, code: "NODE_CANNOT_RUN_TASK" });
    expect((await restore({ destination: "/tmp/dump" })).status).toBe(200);
  });
});

describe("discovering databases", () => {
  const discover = async (
    nodeId: number,
    body: Record<string, unknown>,
    role: "viewer" | "operator" = "operator",
  ) => call(await asRole(role), adminApi.discoverDatabases, { params: { id: nodeId }, body });
  const server = { type: "mysql", host: "db.test", user: "backup" };

  it("asks our agent with the password completed at delivery, and keeps it nowhere", async () => {
    const node = await aNode({ ours: true });
    const password = aPassword();
    const [answer, command] = await Promise.all([
      discover(node.id, { server, secrets: { password } }),
      answerOnce(node.headers, { databases: ["a"], found: [{ name: "a", sizeBytes: 5 }] }),
    ]);
    expect(answer.data).toEqual({ databases: [{ name: "a", sizeBytes: 5 }], complete: true });
    expect(command).toMatchObject({
      type: "discover_db",
      payload: {
        type: "mysql",
        host: "db.test",
        port: 3306,
        user: "backup",
        password,
        server: { ...server },
      },
    });
    const row = await env.DB.prepare("select * from agent_commands where id = ?").bind(command.id).first();
    expect(JSON.stringify(row)).not.toContain(password);
    expect(JSON.parse(String(row?.["payload"]))).not.toHaveProperty("sealed");
  });

  it("asks a Go agent in its own five words", async () => {
    const node = await aNode();
    const password = aPassword();
    const [answer, payload] = await Promise.all([
      discover(node.id, { server, secrets: { password } }),
      answerAsGo(node.headers, { databases: ["a", "b"] }),
    ]);
    expect(payload).toEqual({ type: "mysql", host: "db.test", port: 3306, user: "backup", password });
    expect(answer.data.databases).toEqual([
      { name: "a", sizeBytes: null },
      { name: "b", sizeBytes: null },
    ]);
  });

  it("asks our agent for SQLite's below a directory, and tells when it has not seen all; never a Go agent", async () => {
    const place = { type: "sqlite", folder: "/var/lib" };
    const node = await aNode({ ours: true });
    const found = [{ name: "/var/lib/app/app.db", sizeBytes: 8192 }];
    const [answer, command] = await Promise.all([
      discover(node.id, { server: place }),
      answerOnce(node.headers, { databases: ["/var/lib/app/app.db"], found, complete: false }),
    ]);
    expect(answer.data).toEqual({ databases: found, complete: false });
    expect(command).toMatchObject({ type: "discover_db", payload: { type: "sqlite", server: place } });
    const refused = await discover((await aNode()).id, { server: place });
    expect(refused).toMatchObject({
      code: "NODE_CANNOT_RUN_TASK",
      message: expect.stringContaining("name their files"),
    });
    const relative = await discover(node.id, { server: { ...place, folder: "var" } });
    expect(relative).toMatchObject({ status: 400, message: expect.stringContaining("folder") });
  });

  it("takes a task's sealed password, for that task's server only", async () => {
    const node = await aNode({ ours: true });
    const password = aPassword();
    const task = await made(node, { source: { ...server }, secrets: { password } });
    const [answer, command] = await Promise.all([
      discover(node.id, { server, taskId: task.id }),
      answerOnce(node.headers, { databases: [] }),
    ]);
    expect(answer.data).toEqual({ databases: [], complete: true });
    expect(command.payload["password"]).toBe(password);
    const elsewhere = { server: { ...server, host: "evil.test" }, taskId: task.id };
    expect(await discover(node.id, elsewhere)).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    const both = { server, taskId: task.id, secrets: { password: "x" } };
    expect((await discover(node.id, both)).message).toContain("secrets");
    expect((await discover(node.id, { server, taskId: 999_999 })).code).toBe("BACKUP_TASK_NOT_FOUND");
  });

  it("is withdrawn with its password when nobody answers in time, and never runs later", async () => {
    const node = await aNode({ ours: true });
    const asked = Date.now();
    let at = asked;
    const impatient = {
      ...deps,
      now: () => at,
      sleep: async (milliseconds: number) => {
        at += milliseconds;
      },
    };
    const body = adminApi.discoverDatabases.body.parse({ server, secrets: { password: aPassword() } });
    await expect(discoverDatabases(impatient, node.id, body)).rejects.toMatchObject({
      code: "AGENT_COMMAND_TIMEOUT",
    });
    expect(Math.round(at - asked)).toBe(timing.controlWaitSeconds * 1000);
    const row = await env.DB.prepare("select status, payload from agent_commands where node_id = ?")
      .bind(node.id)
      .first<{ status: string; payload: string }>();
    expect(row).toMatchObject({ status: "cancelled", payload: expect.not.stringContaining("sealed") });
    const { data } = await call(node.headers, agentApi.poll, { body: { running: [], max: 1 } });
    expect(data.commands).toEqual([]);
  });

  it("tells the agent's own words when it fails, and is nothing for a viewer", async () => {
    const node = await aNode({ ours: true });
    const [answer] = await Promise.all([
      discover(node.id, { server }),
      answerOnce(node.headers, null, "access denied for user backup"),
    ]);
    expect(answer).toMatchObject({ status: 502, code: "NODE_COMMAND_FAILED" });
    expect(answer.message).toContain("access denied");
    expect((await discover(node.id, { server }, "viewer")).code).toBe("FORBIDDEN");
    const unable = await able({ sources: ["file"] });
    expect((await discover(unable.id, { server })).code).toBe("NODE_CANNOT_RUN_TASK");
  });
});

/** Polls as a Go agent, which says nothing of itself, and answers once; returns the payload it was given. */
async function answerAsGo(headers: Record<string, string>, result: unknown) {
  for (;;) {
    const { command } = (await call(headers, agentApi.poll)).data;
    if (!command) continue;
    const body = { success: true, errorMessage: "", result };
    await call(headers, agentApi.commandResult, { params: { id: command.id }, body });
    return command.payload;
  }
}

describe("previewing a source", () => {
  const preview = async (nodeId: number, body: Record<string, unknown>) =>
    call(await asRole("operator"), adminApi.previewSource, { params: { id: nodeId }, body });
  const answer = {
    complete: true,
    entries: 2,
    bytes: 10,
    first: [{ path: "/etc/hosts", sizeBytes: 10 }],
    excluded: { count: 0, first: [] },
    unreadable: { count: 1, first: [{ path: "/etc/shadow", reason: "permission denied" }] },
    tools: {},
  };

  it("asks the node's agent what it would read, with the secrets it needs", async () => {
    const node = await aNode({ ours: true });
    const password = aPassword();
    const [shown, command] = await Promise.all([
      preview(node.id, { source: postgresql, secrets: { password } }),
      answerOnce(node.headers, answer),
    ]);
    expect(shown.data).toEqual(answer);
    expect(command.payload).toMatchObject({
      source: { ...postgresql, port: 5432 },
      sourceSecrets: { password },
    });
    const row = await env.DB.prepare("select * from agent_commands where id = ?").bind(command.id).first();
    expect(JSON.stringify(row)).not.toContain(password);
  });

  it("is refused in words for a Go agent and for an answer that is none", async () => {
    const files = { source: { type: "file", paths: ["/etc"] } };
    expect((await preview((await aNode()).id, files)).message).toContain("Go agent");
    const node = await aNode({ ours: true });
    const [shown] = await Promise.all([preview(node.id, files), answerOnce(node.headers, { entries: 3 })]);
    expect(shown).toMatchObject({ status: 502, code: "NODE_COMMAND_FAILED" });
  });
});
