import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { compareTrees } from "../../scripts/compare-trees.ts";
import { type DatabaseServer, type GoAgentOptions, type GoCall, startGoAgent } from "../fakes/go-agent.ts";
import { TEST_MS, until } from "./until.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world.close());

type OnEnd = (cleanUp: () => Promise<void>) => void;
type Generation = GoAgentOptions["generation"];
let names = 0;

/** A node with a Go agent that is online; when the test ends, all that its master answered was as promised. */
async function goNode(
  onEnd: OnEnd,
  generation: Generation,
  before?: GoAgentOptions["before"],
  server?: DatabaseServer,
) {
  const { node, token } = await world.call(adminApi.createNode, { body: { name: `go-${++names}` } });
  const folder = mkdtempSync(path.join(world.folder, "go-"));
  const workDir = path.join(folder, "work");
  mkdirSync(workDir);
  const agent = startGoAgent({
    master: world.url,
    token,
    generation,
    workDir,
    heartbeatMs: 1000,
    pollMs: 100,
    ...(before && { before }),
    ...(server && { server }),
  });
  onEnd(async () => {
    await agent.stop();
    rmSync(folder, { recursive: true, force: true });
    expect(agent.broken).toEqual([]);
  });
  const getNode = () => world.call(adminApi.getNode, { params: { id: node.id } });
  await until(`${node.name} to be online`, async () => (await getNode()).status === "online");
  return { nodeId: node.id, token, folder, agent, getNode };
}
type GoNode = Awaited<ReturnType<typeof goNode>>;

function newSource(node: GoNode): string {
  const folder = path.join(node.folder, `source-${++names}`);
  mkdirSync(path.join(folder, "deep/er"), { recursive: true });
  for (const name of ["file-0.bin", "file-1.bin", "deep/er/ünïcode ✓.bin"]) {
    writeFileSync(path.join(folder, name), randomBytes(15_000));
  }
  writeFileSync(path.join(folder, "empty"), "");
  return folder;
}

async function taskOf(node: GoNode, targetIds: number[], more: { name?: string; paths?: string[] } = {}) {
  const { paths = [newSource(node)], name = `go task ${++names}` } = more;
  const { id } = await world.call(adminApi.createTask, {
    body: {
      name,
      nodeId: node.nodeId,
      source: { type: "file", paths },
      pipeline: { compression: "gzip" },
      targetIds,
    },
  });
  return { taskId: id, source: paths[0] ?? "" };
}

async function diskOf(node: GoNode) {
  const disk = path.join(node.folder, `disk-${++names}`);
  mkdirSync(disk);
  return { disk, targetId: await world.target("local_disk", { path: disk }) };
}

const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
const isReport = ({ path }: GoCall) => /^\/api\/agent\/records\/\d+$/.test(path);
const isFinal = (call: GoCall) => isReport(call) && call.body?.["status"] === "success";
const commandOf = async (id: number) =>
  (await world.rows<{ status: string }>("select status from agent_commands where id = ?", id))[0]?.status;
/** As if the agent had said nothing for that long. */
const makeSilent = (commandId: number, seconds = 600) =>
  world.change(
    "update agent_commands set lease_expires_at = lease_expires_at - ? where id = ?",
    seconds * 1000,
    commandId,
  );

/** Holds the calls that it is asked to, until each is let go. */
function gate(matches: (call: GoCall) => boolean) {
  const waiting: (() => void)[] = [];
  let passed = 0;
  return {
    before: (call: GoCall) => (matches(call) ? new Promise<void>((go) => waiting.push(go)) : undefined),
    /** Waits for the next call, and returns what lets it go. */
    async next() {
      const at = passed++;
      return until("the agent's next call", () => waiting[at]);
    },
    end() {
      for (const go of waiting) go();
    },
  };
}

describe.concurrent("an unmodified BackupX Go agent", { timeout: TEST_MS }, () => {
  test.for<Generation>(["first", "today"])(
    "of generation %s discovers, dumps and loads databases with the password that is sealed with the task",
    async (generation, { onTestFinished }) => {
      const password = `p-${randomBytes(12).toString("hex")}`;
      const databases: Record<string, string> = { shop: "goods", blog: "words", scratch: "nothing" };
      const place = { type: "mysql" as const, host: "db.test", port: 3306, user: "backup" };
      const node = await goNode(onTestFinished, generation, undefined, { ...place, password, databases });
      const { targetId } = await diskOf(node);
      const about = { params: { id: node.nodeId } };
      const found = await world.call(adminApi.discoverDatabases, {
        ...about,
        body: { server: place, secrets: { password } },
      });
      expect(found.databases.map(({ name }) => name)).toEqual(["shop", "blog", "scratch"]);
      const wrong = await world.ask(adminApi.discoverDatabases, { ...about, body: { server: place } });
      expect(wrong).toMatchObject({ code: "NODE_COMMAND_FAILED", message: "access denied" });

      const taskId = await world.task(node, {
        source: { ...place, databases: ["shop", "blog"] },
        secrets: { password },
        pipeline: { compression: "gzip" },
        targetIds: [targetId],
      });
      const record = await world.endOf((await world.run(taskId)).recordId);
      expect(record).toMatchObject({ status: "success", sourceType: "mysql" });
      expect(record.fileName).toMatch(/\.sql\.gz$/);
      if (generation === "first") return;
      databases["shop"] = "lost";
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: record.id },
        body: { conflict: "overwrite" },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success" });
      expect(databases).toEqual({ shop: "goods", blog: "words", scratch: "nothing" });
    },
  );

  test.for<Generation>(["first", "today"])(
    "of generation %s joins, browses and backs up to its disk",
    async (generation, { onTestFinished }) => {
      const node = await goNode(onTestFinished, generation);
      expect(await node.getNode()).toMatchObject({ protocolVersion: null, connection: "poll", os: "linux" });
      const { disk, targetId } = await diskOf(node);
      const more = path.join(node.folder, "more");
      mkdirSync(more);
      writeFileSync(path.join(more, "a file"), "content");
      const { taskId, source } = await taskOf(node, [targetId], {
        paths: [newSource(node), more],
      });
      const browsed = await world.call(adminApi.browseNode, {
        params: { id: node.nodeId },
        query: { path: source },
      });
      expect(browsed.entries.map(({ name }) => name)).toEqual(["deep", "empty", "file-0.bin", "file-1.bin"]);
      const { recordId, commandId } = await world.run(taskId);
      const record = await world.endOf(recordId);
      const [stored] = filesBelow(disk);
      expect(record).toMatchObject({
        status: "success",
        errorMessage: "",
        fileName: path.basename(stored ?? ""),
      });
      expect(record.copies).toMatchObject([
        { targetId, status: "success", storagePath: stored, checksum: record.checksum },
      ]);
      expect(stored).toMatch(
        generation === "today"
          ? new RegExp(`^BackupX/file/\\d{6}/records/${recordId}/[^/]+\\.tar\\.gz$`)
          : /^BackupX\/file\/\d{6}\/[^/]+\.tar\.gz$/,
      );
      expect(record.sizeBytes).toBeGreaterThan(40_000);
      expect(await world.logOf(recordId)).toMatch(
        new RegExp(`^starting .*\npacking ${source}\npacking ${more}\nstored in .*\ndone, \\d+ bytes\n$`),
      );
      await world.expectCountedOnce(recordId);
      await until("the command's end", async () => (await commandOf(commandId)) === "succeeded");

      const { pendingCopies } = await world.call(adminApi.deleteRecord, { params: { id: recordId } });
      expect(pendingCopies).toBe(1);
      await until("the object to be gone", () => !existsSync(path.join(disk, stored ?? "")));
      await until(
        "the record to be gone",
        async () => (await world.ask(adminApi.getRecord, { params: { id: recordId } })).status === 404,
      );
      const used = await world.call(adminApi.getTarget, { params: { id: targetId } });
      expect(used.usedBytes).toBe(0);
    },
  );

  test("of the first generation tells of one path, which counts for each of its targets", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "first");
    const disks = [await diskOf(node), await diskOf(node)];
    const { taskId } = await taskOf(
      node,
      disks.map(({ targetId }) => targetId),
    );
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record.copies.map(({ targetId, status }) => ({ targetId, status }))).toEqual(
      disks.map(({ targetId }) => ({ targetId, status: "success" })),
    );
  });

  test("of the first generation fails readably where only the vault is left", async ({ onTestFinished }) => {
    const node = await goNode(onTestFinished, "first");
    const { taskId } = await taskOf(node, [await world.target("vault")]);
    const record = await world.endOf((await world.run(taskId)).recordId);
    expect(record).toMatchObject({
      status: "failed",
      errorMessage: expect.stringContaining("vault"),
      copies: [],
    });
  });

  test("of the first generation answers a restore with words, and the restore has ended", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "first");
    const { targetId } = await diskOf(node);
    const { taskId } = await taskOf(node, [targetId]);
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const { restoreId } = await world.call(adminApi.restoreRecord, {
      params: { id },
      body: { conflict: "overwrite" },
    });
    expect(await world.endOfRestore(restoreId)).toMatchObject({
      status: "failed",
      errorMessage: "unknown command type: restore_record",
    });
  });

  test.for(["vault", "local_disk"] as const)(
    "of today restores from %s in place, byte for byte",
    async (type, { onTestFinished }) => {
      const node = await goNode(onTestFinished, "today");
      const targetId = type === "vault" ? await world.target("vault") : (await diskOf(node)).targetId;
      const { taskId, source } = await taskOf(node, [targetId], { name: `备份 Größe ${type}` });
      const { recordId } = await world.run(taskId);
      const record = await world.endOf(recordId);
      expect(record).toMatchObject({ status: "success", copies: [{ targetId, status: "success" }] });
      if (type === "vault") expect(await world.vaultKeys()).toContain(record.copies[0]?.storagePath);
      const kept = path.join(node.folder, "kept");
      renameSync(source, kept);
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: recordId },
        body: { conflict: "overwrite" },
      });
      expect(await world.endOfRestore(restoreId)).toMatchObject({ status: "success", errorMessage: "" });
      const { files, differences } = compareTrees(kept, source, []);
      expect(files).toBe(4);
      // The Go agent gives restored files the time of the restore.
      expect(differences.filter((text) => !text.endsWith("modification time"))).toEqual([]);
      const { lines } = await world.call(adminApi.restoreLog, { params: { id: restoreId } });
      expect(lines.map(({ text }) => text).join("")).toMatch(/^restoring .*\nrestored\n$/);
    },
  );

  test("is refused zstd, when a task is saved and when one made earlier is run", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "today");
    const { targetId } = await diskOf(node);
    const zstd = {
      name: `go zstd ${++names}`,
      source: { type: "file" as const, paths: ["/etc"] },
      targetIds: [targetId],
    };
    const refusal = { status: 409, message: expect.stringMatching(/Go agent.*zstd.*gzip.*backupx-agent/) };
    const saved = await world.ask(adminApi.createTask, { body: { ...zstd, nodeId: node.nodeId } });
    expect(saved).toMatchObject(refusal);

    const { node: later, token } = await world.call(adminApi.createNode, { body: { name: `go-${++names}` } });
    const task = await world.call(adminApi.createTask, { body: { ...zstd, nodeId: later.id } });
    const agent = startGoAgent({
      master: world.url,
      token,
      generation: "today",
      workDir: node.folder,
      pollMs: 100,
    });
    onTestFinished(() => agent.stop());
    await until("its poll", () => agent.calls.some(({ path, status }) => path.endsWith("/poll") && status));
    const started = await world.ask(adminApi.runTask, { params: { id: task.id } });
    expect(started).toMatchObject(refusal);
    expect(await world.rows("select id from backup_records where task_id = ?", task.id)).toEqual([]);
  });

  test("is refused a restore that it could not do as asked", async ({ onTestFinished }) => {
    const node = await goNode(onTestFinished, "today");
    const { targetId } = await diskOf(node);
    const { taskId } = await taskOf(node, [targetId]);
    const { id } = await world.endOf((await world.run(taskId)).recordId);
    const refused: [object, RegExp][] = [
      [{ destination: "/elsewhere", conflict: "overwrite" }, /Go agent.*own place only/],
      [{ selectedPaths: ["/etc/hosts"], conflict: "overwrite" }, /Go agent.*own place only/],
      [{}, /Go agent.*replaces.*overwrite/],
      [{ conflict: "keep" }, /Go agent.*replaces.*overwrite/],
    ];
    for (const [body, message] of refused) {
      const answer = await world.ask(adminApi.restoreRecord, { params: { id }, body });
      expect(answer).toMatchObject({ status: 409, message: expect.stringMatching(message) });
    }
    expect(await world.rows("select id from restore_records where record_id = ?", id)).toEqual([]);
  });

  test("is refused what backupx-agent has packed, and the other way round", async ({ onTestFinished }) => {
    const go = await goNode(onTestFinished, "today");
    const ours = await world.machine(onTestFinished);
    ours.start();
    await world.online(ours);
    const targetIds = [await world.target("vault")];
    const byGo = await world.endOf((await world.run((await taskOf(go, targetIds)).taskId)).recordId);
    const source = { type: "file" as const, paths: [newSource(go)] };
    const byOurs = await world.endOf(
      (await world.run(await world.task(ours, { source, targetIds }))).recordId,
    );
    const restore = (id: number, body: object) =>
      world.ask(adminApi.restoreRecord, { params: { id }, body: { conflict: "overwrite", ...body } });
    expect(await restore(byOurs.id, { nodeId: go.nodeId })).toMatchObject({
      status: 409,
      message: expect.stringMatching(/Go agent.*backupx-agent has packed/),
    });
    expect(await restore(byGo.id, { nodeId: ours.nodeId })).toMatchObject({
      status: 409,
      message: expect.stringMatching(/Go agent has packed.*destination/),
    });
    const destination = path.join(ours.folder, "restored");
    mkdirSync(destination);
    const answer = await restore(byGo.id, { nodeId: ours.nodeId, destination });
    expect(await world.endOfRestore(answer.data.restoreId)).toMatchObject({ status: "success" });
    expect(filesBelow(destination)).toHaveLength(4);
  });

  test("is refused to restore paths of several folders, which would all go into the first", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "today");
    const { targetId } = await diskOf(node);
    const apart = path.join(node.folder, "apart");
    mkdirSync(apart);
    const first = newSource(node);
    const together = await taskOf(node, [targetId], { paths: [first, newSource(node)] });
    const spread = await taskOf(node, [targetId], { paths: [first, path.join(apart, "x")] });
    mkdirSync(path.join(apart, "x"));
    const answers = [];
    for (const { taskId } of [together, spread]) {
      const { id } = await world.endOf((await world.run(taskId)).recordId);
      answers.push(
        await world.ask(adminApi.restoreRecord, { params: { id }, body: { conflict: "overwrite" } }),
      );
    }
    expect(answers).toMatchObject([
      { status: 200 },
      { status: 409, message: expect.stringMatching(/different folders/) },
    ]);
  });

  test("never repeats a call: a record whose last report was lost ends with its command", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "today", (call) => {
      if (isFinal(call)) throw new Error("lost on its way");
    });
    const { targetId } = await diskOf(node);
    const { taskId } = await taskOf(node, [targetId]);
    const { recordId, commandId } = await world.run(taskId);
    const record = await world.endOf(recordId);
    expect(record).toMatchObject({ status: "failed", errorMessage: "lost on its way", copies: [] });
    expect(await commandOf(commandId)).toBe("failed");
    expect(node.agent.calls.filter(isFinal)).toHaveLength(1);
  });

  test("is given up after ten minutes of silence, and what it says later changes nothing", async ({
    onTestFinished,
  }) => {
    const specs = gate(({ path }) => path.startsWith("/api/agent/tasks/"));
    const node = await goNode(onTestFinished, "today", specs.before);
    onTestFinished(() => specs.end());
    const { targetId } = await diskOf(node);
    const { taskId } = await taskOf(node, [targetId]);
    const { recordId, commandId } = await world.run(taskId);
    const letGo = await specs.next();
    await makeSilent(commandId, 590);
    await world.sweep();
    expect(await commandOf(commandId)).toBe("dispatched");
    await makeSilent(commandId, 20);
    await world.sweep();
    expect(await commandOf(commandId)).toBe("timeout");
    const given = await world.record(recordId);
    expect(given).toMatchObject({ status: "failed", errorMessage: expect.stringContaining("10 minutes") });
    letGo();
    await until("its result", () =>
      node.agent.calls.some(({ path, status }) => path.endsWith(`/${commandId}/result`) && status === 200),
    );
    expect(await world.record(recordId)).toMatchObject({ ...given, status: "failed" });
    expect(await commandOf(commandId)).toBe("timeout");
  });

  test("is not given up while its record moves, though it does not poll while it works", async ({
    onTestFinished,
  }) => {
    const reports = gate(isReport);
    const node = await goNode(onTestFinished, "today", reports.before);
    onTestFinished(() => reports.end());
    const { targetId } = await diskOf(node);
    const { taskId } = await taskOf(node, [targetId]);
    const { recordId, commandId } = await world.run(taskId);
    const polls = () => node.agent.calls.filter(({ path }) => path.endsWith("/poll")).length;
    let letGo = await reports.next();
    const polled = polls();
    for (let report = 0; report < 3; report++) {
      await makeSilent(commandId, 590);
      letGo();
      letGo = await reports.next();
      await world.sweep();
      expect(await commandOf(commandId)).toBe("dispatched");
    }
    expect(polls()).toBe(polled);
    letGo();
    expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
  });

  test("tells people what to do when its artifact is too large for one request", async ({
    onTestFinished,
  }) => {
    const node = await goNode(onTestFinished, "today", (call) => {
      if (call.method !== "PUT") return;
      call.file = path.join(world.folder, "large");
      writeFileSync(call.file, "");
      truncateSync(call.file, 100_000_001);
      call.headers["Content-Length"] = "100000001";
    });
    const { taskId } = await taskOf(node, [await world.target("vault")]);
    const { recordId } = await world.run(taskId);
    const record = await world.endOf(recordId);
    expect(node.agent.calls.find(({ method }) => method === "PUT")?.status).toBe(413);
    expect(record).toMatchObject({ status: "failed", copies: [{ status: "failed" }] });
    expect(record.errorMessage).toMatch(/ARTIFACT_TOO_LARGE.*100000001 bytes.*use backupx-agent/);
  });
});

describe.concurrent("the token of a Go agent", { timeout: TEST_MS }, () => {
  const post = async (path: string, body?: object, headers: Record<string, string> = {}) => {
    const response = await fetch(new URL(path, world.url), {
      method: "POST",
      headers: { "User-Agent": "Go-http-client/2.0", ...headers },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: response.status, ...((await response.json()) as object) };
  };
  const heartbeat = "/api/agent/heartbeat";

  test("may stand in the body of a heartbeat, and of nothing else", async () => {
    const { token } = await world.call(adminApi.createNode, { body: { name: `go-${++names}` } });
    expect(await post(heartbeat, { token })).toMatchObject({ status: 200, code: "OK" });
    const polled = await post("/api/agent/commands/poll", { token, running: [], max: 1 });
    expect(polled).toMatchObject({ status: 401, code: "NODE_INVALID_TOKEN" });
  });

  test("counts from the header when both are there", async () => {
    const { token } = await world.call(adminApi.createNode, { body: { name: `go-${++names}` } });
    const both = await post(heartbeat, { token }, { "X-Agent-Token": "f".repeat(64) });
    expect(both).toMatchObject({ status: 401, code: "NODE_INVALID_TOKEN" });
    const good = await post(heartbeat, { token: "f".repeat(64) }, { "X-Agent-Token": token });
    expect(good).toMatchObject({ status: 200 });
  });

  test("is told apart when missing and when wrong, and a wrong one ends the agent", async () => {
    expect(await post(heartbeat, {})).toMatchObject({
      status: 400,
      code: "INVALID_INPUT",
      message: "missing token",
    });
    for (const generation of ["first", "today"] as const) {
      const agent = startGoAgent({
        master: world.url,
        token: "f".repeat(64),
        generation,
        workDir: world.folder,
      });
      expect(await agent.ended).toMatch(/initial heartbeat failed: .*http 401.*NODE_INVALID_TOKEN/);
      expect(agent.calls).toHaveLength(1);
      expect(agent.broken).toEqual([]);
    }
  });
});
