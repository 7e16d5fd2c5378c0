import { mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scratch, startAgent, taskSpec, until } from "./agent-process.ts";
import { finished, sourceFolder, world } from "./world.ts";

async function running(kib: number, bandwidth: number, args: string[]) {
  const made = await world({}, { args });
  const target = join(made.folder, "target");
  mkdirSync(target);
  const paths = [sourceFolder(made.folder, kib)];
  const targets = [{ type: "local_disk", config: { path: target } }];
  made.master.specs.set(7, taskSpec({ recordId: 9, paths, targets, bandwidth, compression: "none" }));
  const command = made.master.enqueue("run_task", { taskId: 7, recordId: 9 });
  const agent = made.start();
  await agent.logged("command started");
  return { ...made, target, command, agent };
}

test("SIGTERM when idle: ends at once, with 0", async () => {
  const { start } = await world();
  const agent = start();
  await agent.logged("socket open");
  const askedAt = performance.now();
  expect(await agent.kill("SIGTERM")).toBe(0);
  expect(performance.now() - askedAt).toBeLessThan(1500);
});

test("SIGTERM: what runs may finish within the grace, and nothing new is taken", async () => {
  const { master, command, agent } = await running(120, 60_000, []);
  agent.child.kill("SIGTERM");
  await agent.logged("stopping");
  const late = master.enqueue("list_dir", { path: "/" });
  master.ring();
  expect(await agent.ended).toBe(0);
  expect(command.results).toMatchObject([{ success: true }]);
  expect(late.status).toBe("pending");
});

test("SIGTERM: what does not finish within the grace is stopped, reported and cleaned up", async () => {
  const { master, command, agent, stateDir, target } = await running(2000, 10_000, ["--grace", "300ms"]);
  expect(await agent.kill("SIGTERM")).toBe(0);
  expect(command.results).toMatchObject([{ success: false, errorMessage: "the agent was stopped" }]);
  expect(master.recordReports.get(9)?.at(-1)).toMatchObject({
    status: "failed",
    errorMessage: "the agent was stopped",
  });
  expect(readdirSync(join(stateDir, "work"))).toEqual([]);
  expect(readdirSync(target, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())).toEqual([]);
});

test("a second signal ends it now", async () => {
  const { agent } = await running(2000, 10_000, ["--grace", "60s"]);
  agent.child.kill("SIGINT");
  await agent.logged("stopping");
  const askedAt = performance.now();
  agent.child.kill("SIGINT");
  expect(await agent.ended).toBe(130);
  expect(performance.now() - askedAt).toBeLessThan(1000);
});

test("the master is unreachable at start: the agent waits, and connects when it is there", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const agent = startAgent(
    { url: `http://127.0.0.1:${port}`, token: "0".repeat(64) },
    { stateDir: join(scratch(), "state") },
  );
  await agent.logged("cannot reach 127.0.0.1", ({ msg }) => msg.includes("refused"));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(agent.child.exitCode).toBeNull();
  // Told once, not at every try.
  expect(agent.lines.filter(({ msg }) => msg.includes("cannot reach"))).toHaveLength(1);
  expect(await agent.kill("SIGTERM")).toBe(0);
});

test("401 after having been accepted: says so once, slows down, recovers", async () => {
  const { master, start } = await world(
    { doorbell: false },
    { args: ["--poll-interval", "100ms", "--heartbeat-interval", "100ms"] },
  );
  const agent = start();
  await until(() => master.callsTo("poll").length > 2, "polls", agent.output);
  const good = master.token;
  master.token = "f".repeat(64);
  await agent.logged("the master no longer accepts this node's token");
  const before = master.callsTo("poll").length;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  // Twelve times slower than the polls every 100 ms.
  expect(master.callsTo("poll").length - before).toBeLessThanOrEqual(2);
  expect(agent.lines.filter(({ msg }) => msg.includes("token"))).toHaveLength(1);
  master.token = good;
  await agent.logged("the master answers again");
  const command = master.enqueue("list_dir", { path: "/" });
  expect(await finished(master, agent, command.id)).toMatchObject({ success: true });
  expect(agent.output()).not.toContain(good);
});

test("426 says what to do, and 429 and 503 are left in peace for as long as they ask", async () => {
  const { master, start } = await world({ doorbell: false }, { args: ["--poll-interval", "50ms"] });
  const tooOld = { code: "AGENT_TOO_OLD", message: "this master speaks protocols 2 to 3" };
  master.intercept = () => ({ status: 426, body: tooOld });
  const agent = start();
  await agent.logged("this master speaks protocols 2 to 3; update backupx-agent");
  const busy = { code: "TOO_MANY_REQUESTS", message: "slow down" };
  const limited = { status: 429, body: busy, headers: { "retry-after": "2" } };
  master.intercept = ({ name }) => (name === "poll" ? limited : undefined);
  await until(() => master.callsTo("poll").length > 0, "a poll", agent.output);
  await new Promise((resolve) => setTimeout(resolve, 1200));
  expect(master.callsTo("poll")).toHaveLength(1);
});

test("a socket that is closed is opened again; one that cannot be had is replaced by polling", async () => {
  const { master, start } = await world({ pollSeconds: 1 });
  const agent = start();
  await agent.logged("socket open");
  for (const socket of master.sockets) socket.close(4001, "reshard");
  await until(() => agent.lines.filter(({ msg }) => msg === "socket open").length === 2, "a second socket");
  master.intercept = ({ name }) => (name === "doorbell" ? { hangUp: true } : undefined);
  for (const socket of master.sockets) socket.close(4001, "reshard");
  const before = master.callsTo("poll").length;
  await until(() => master.callsTo("poll").length > before + 2, "polls", agent.output);
  await agent.logged("polling instead");
});

test("a socket that another agent took over is not fought for: this one polls", async () => {
  const { master, start } = await world({ pollSeconds: 1 });
  const agent = start();
  await agent.logged("socket open");
  for (const socket of master.sockets) socket.close(4000, "replaced");
  await agent.logged("is this machine a clone?");
  const before = master.callsTo("poll").length;
  await until(() => master.callsTo("poll").length > before + 2, "polls", agent.output);
  expect(agent.lines.filter(({ msg }) => msg === "socket open")).toHaveLength(1);
});
