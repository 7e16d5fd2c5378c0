import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { makeClient } from "../../agent-cli/client.ts";
import { makeDispatcher } from "../../agent-cli/network.ts";
import { agentApi } from "../../protocol/index.ts";
import { makeCertificate } from "../fakes/certificate.ts";
import { type Answer, startFakeMaster } from "../fakes/fake-master.ts";
import { type FakeProxy, startHttpProxy, startSocksProxy } from "../fakes/proxies.ts";
import { testWith } from "../needs.ts";
import { scratch, startAgent, taskSpec } from "./agent-process.ts";
import { finished, sourceFolder, world } from "./world.ts";

async function closing<T extends { close(): Promise<unknown> }>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  onTestFinished(async () => void (await started.close()));
  return started;
}

async function client(answer?: Answer, prefix = "") {
  const master = await closing(startFakeMaster({ prefix }));
  master.intercept = () => answer;
  const dispatcher = makeDispatcher({ proxyUrl: null, insecureTls: false, caCertFile: null });
  const made = makeClient({ master: new URL(master.url), token: master.token, dispatcher });
  onTestFinished(() => made.close());
  return { master, call: () => made.call(agentApi.self) };
}

describe("an answer that is not what it should be", () => {
  const envelope = (data: object) => ({ code: "OK", message: "success", data });
  test.each<[string, Answer, object]>([
    [
      "a redirect",
      { status: 302, body: "", headers: { location: "https://login.corp.test/sso?secret=1" } },
      {
        code: "REDIRECTED",
        retryable: false,
        message: "the master answered with a redirect to login.corp.test: set --master to the final address",
      },
    ],
    [
      "a web page",
      { status: 404, body: "<html><title>It works!\n</title>" },
      { code: "NOT_BACKUPX", message: /answered 404 with a web page, "It works!": is --master/ },
    ],
    [
      "a page with 200",
      { status: 200, body: "<html>hello</html>" },
      { code: "NOT_BACKUPX", message: /something that is not BackupX \(text\/html\)/ },
    ],
    [
      "a gateway's page",
      { status: 502, body: "<title>Bad gateway</title>" },
      {
        code: "MASTER_UNAVAILABLE",
        retryable: true,
        message: /answered 502 with a web page, "Bad gateway"$/,
      },
    ],
    [
      "a readable error",
      {
        status: 503,
        body: { code: "DAILY_QUOTA_EXHAUSTED", message: "used up" },
        headers: { "retry-after": "90" },
      },
      { code: "DAILY_QUOTA_EXHAUSTED", message: "used up", retryAfterMs: 90_000, retryable: true },
    ],
    [
      "data that does not fit",
      { status: 200, body: envelope({ id: "three" }) },
      { code: "UNEXPECTED_ANSWER", message: /\/api\/v1\/agent\/self is not understood: id:/ },
    ],
    [
      "too much",
      { status: 200, body: envelope({ filler: "x".repeat(9_000_000) }) },
      { code: "UNEXPECTED_ANSWER", message: /more than 8 MiB/ },
    ],
    ["a connection that breaks", { hangUp: true }, { code: "UNREACHABLE", status: 0, retryable: true }],
  ])("%s", async (_what, answer, expected) => {
    const { call } = await client(answer);
    const error = await call().catch((reason: Error) => reason);
    const { message, ...rest } = expected as { message?: string | RegExp };
    expect(error).toMatchObject(rest);
    if (message !== undefined) expect((error as Error).message).toMatch(message);
  });
});

test("a path prefix of the master is kept", async () => {
  const { call } = await client(undefined, "/backup");
  expect(await call()).toMatchObject({ id: 7, name: "web-7" });
});

describe("the way to the master", () => {
  /** Calls, socket and a job's own uploads must all take the proxy. */
  async function backsUpThrough(
    proxy: FakeProxy | null,
    options: { args?: string[]; env?: Record<string, string>; tls?: boolean },
  ) {
    const certificate = options.tls ? makeCertificate(scratch()) : undefined;
    const master = await closing(startFakeMaster(certificate ? { tls: certificate } : {}));
    const folder = scratch();
    const targets = [{ type: "vault", config: {}, transferMode: "master_relay" }];
    master.specs.set(7, taskSpec({ recordId: 9, paths: [sourceFolder(folder, 40)], targets }));
    const asked = master.enqueue("run_task", { taskId: 7, recordId: 9 });
    const args = [...(options.args ?? []), ...(certificate ? ["--ca-cert", certificate.caFile] : [])];
    const agent = startAgent(master, { stateDir: join(folder, "state"), args, env: options.env ?? {} });
    await agent.logged("socket open");
    expect(await finished(master, agent, asked.id)).toMatchObject({ success: true });
    expect(master.vault.size).toBe(1);
    if (proxy) expect(proxy.seen.join("\n")).toContain(`127.0.0.1:${master.port}`);
    return { agent, master };
  }

  test("an http proxy", async () => {
    const proxy = await closing(startHttpProxy());
    await backsUpThrough(proxy, { args: ["--proxy-url", proxy.url] });
  });

  testWith(["openssl"], "an http proxy to a master with TLS and a private CA", async () => {
    const proxy = await closing(startHttpProxy());
    await backsUpThrough(proxy, { args: ["--proxy-url", proxy.url], tls: true });
    expect(proxy.seen.every((line) => line.startsWith("CONNECT "))).toBe(true);
  });

  testWith(["openssl"], "an https proxy", async () => {
    const certificate = makeCertificate(scratch());
    const proxy = await closing(startHttpProxy(certificate));
    await backsUpThrough(proxy, { args: ["--proxy-url", proxy.url, "--ca-cert", certificate.caFile] });
  });

  test("a socks5 proxy, with a login that is never logged", async () => {
    const proxy = await closing(startSocksProxy({ user: "me", password: "socks-secret" }));
    const { agent } = await backsUpThrough(proxy, { args: ["--proxy-url", proxy.url] });
    expect(agent.output()).not.toContain("socks-secret");
  });

  testWith(["openssl"], "a socks5 proxy to a master with TLS", async () => {
    const proxy = await closing(startSocksProxy());
    await backsUpThrough(proxy, { args: ["--proxy-url", proxy.url], tls: true });
  });

  test("a proxy of the environment, unless NO_PROXY names the master", async () => {
    const proxy = await closing(startHttpProxy());
    const { agent } = await backsUpThrough(proxy, { env: { HTTP_PROXY: proxy.url } });
    // It goes on polling, through the proxy.
    await agent.kill("SIGTERM");
    const seen = proxy.seen.length;
    await backsUpThrough(null, { env: { HTTP_PROXY: proxy.url, NO_PROXY: "127.0.0.1" } });
    expect(proxy.seen.length).toBe(seen);
  });

  testWith(
    ["openssl"],
    "a certificate of an unknown CA is refused with a hint, and --insecure-tls lets it pass with a warning",
    async () => {
      const certificate = makeCertificate(scratch());
      const master = await closing(startFakeMaster({ tls: certificate }));
      const refused = startAgent(master, { stateDir: join(scratch(), "state") });
      await refused.logged("its certificate is from an unknown authority; set --ca-cert");
      const stateDir = join(scratch(), "state");
      const agent = startAgent(master, { stateDir, args: ["--insecure-tls"] });
      await agent.logged("TLS certificates are not checked");
      await agent.logged("socket open");
    },
  );
});

test("the token never shows: not in the log, not in the process list, not in the state directory", async () => {
  const { master, start, stateDir, folder } = await world();
  const agent = start();
  const asked = master.enqueue("list_dir", { path: folder });
  await finished(master, agent, asked.id);
  expect(agent.output()).not.toContain(master.token);
  expect(readFileSync(`/proc/${agent.child.pid}/cmdline`, "utf8")).not.toContain(master.token);
  for (const entry of readdirSync(stateDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    if (existsSync(file)) expect(readFileSync(file, "utf8")).not.toContain(master.token);
  }
});
