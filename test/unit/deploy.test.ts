import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type DeployTools, deploy } from "../../scripts/deploy-steps.ts";

const toml = readFileSync(path.resolve(import.meta.dirname, "../../wrangler.toml"), "utf8");
const URL_OF_IT = "https://backupx-edge.example.workers.dev";

/** An account as wrangler shows it: what was made is listed afterwards. */
function anAccount() {
  const state = {
    databases: [] as object[],
    bucket: false,
    secret: false,
    admin: false,
    calls: [] as string[],
    said: [] as string[],
  };
  const answer = (output: string, code = 0) => Promise.resolve({ code, output });
  const tools: DeployTools = {
    wrangler(args) {
      const call = args.join(" ");
      state.calls.push(call);
      if (call.startsWith("d1 list")) return answer(`a warning\n${JSON.stringify(state.databases)}`);
      if (call.startsWith("d1 create")) state.databases.push({ name: "backupx-edge", uuid: "the-id" });
      if (call.startsWith("r2 bucket info")) return answer("", state.bucket ? 0 : 1);
      if (call.startsWith("r2 bucket create")) state.bucket = true;
      if (call.startsWith("secret list"))
        return answer(state.secret ? '[{"name":"MASTER_KEY"}]' : "no such Worker", state.secret ? 0 : 1);
      if (call.startsWith("deploy")) {
        state.secret = true;
        return answer(`Deployed backupx-edge triggers\n  ${URL_OF_IT}\n`);
      }
      return answer("");
    },
    fetch: (async (_url: string, init?: RequestInit) => {
      if (init?.method === "POST") state.admin = true;
      return Response.json({ data: { needed: !state.admin } });
    }) as typeof fetch,
    say: (text) => state.said.push(text),
    newKey: () => "the-master-key",
    wait: async () => {},
  };
  return { state, tools };
}

describe("npm run deploy", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(os.tmpdir(), "deploy-"));
    writeFileSync(path.join(root, "wrangler.toml"), toml);
    return () => rmSync(root, { recursive: true });
  });
  const options = () => ({
    root,
    keepIn: path.join(root, "keep"),
    location: "weur",
    admin: { username: "admin", password: "correct horse" },
  });

  it("makes database, vault, secret and administrator, in that order, and names the address", async () => {
    const { state, tools } = anAccount();
    expect(await deploy(tools, options())).toBe(URL_OF_IT);
    expect(state).toMatchObject({ bucket: true, secret: true, admin: true });
    expect(state.calls).toContain("d1 create backupx-edge --location weur");
    expect(readFileSync(path.join(root, "wrangler.deploy.toml"), "utf8")).toContain('database_id = "the-id"');
    const order = ["d1 create", "r2 bucket create", "d1 migrations apply", "deploy"].map((step) =>
      state.calls.findIndex((call) => call.startsWith(step)),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it("keeps the master key in a file for its owner alone, and out of what it prints", async () => {
    const { state, tools } = anAccount();
    await deploy(tools, options());
    const file = path.join(root, "keep", "master-key.json");
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ MASTER_KEY: "the-master-key" });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect([...state.said, ...state.calls].join("\n")).not.toContain("the-master-key");
  });

  it("changes nothing but the release the second time", async () => {
    const { state, tools } = anAccount();
    await deploy(tools, options());
    const before = state.calls.length;
    await deploy(tools, options());
    const again = state.calls.slice(before);
    expect(again.filter((call) => /create|--secrets-file/.test(call))).toEqual([]);
    expect(again.some((call) => call.startsWith("deploy"))).toBe(true);
  });

  it("says how to log in when wrangler cannot reach the account", async () => {
    const { tools } = anAccount();
    const refusing = { ...tools, wrangler: async () => ({ code: 1, output: "not logged in" }) };
    await expect(deploy(refusing, options())).rejects.toThrow("npx wrangler login");
  });
});
