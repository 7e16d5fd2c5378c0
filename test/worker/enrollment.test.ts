import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { hashCode } from "../../worker/enrollment/code.ts";
import { hashToken, randomHex } from "../../worker/secrets/hash.ts";
import { aNode, asRole, call, ORIGIN } from "./master.ts";
import { count, set, unique } from "./rows.ts";

/** Each caller from an address of its own, so that one test's wrong codes do not slow another's. */
const from = (ipAddress: string) => ({ "CF-Connecting-IP": ipAddress });
const anAddress = () => `10.${[0, 1, 2].map(() => Number.parseInt(randomHex(1), 16)).join(".")}`;
const use = (code: string, address = anAddress()) =>
  call(from(address), agentApi.enroll, { body: { code, hostname: "box" } });

async function aCode(body: { name?: string; labels?: string[] } = {}) {
  const name = body.name ?? unique("new");
  const admin = await asRole("admin");
  const made = await call(admin, adminApi.createEnrollmentCode, { body: { ...body, name } });
  return { ...made.data, name };
}

describe("an enrolment code", () => {
  it("makes the node it names, once, and gives it a token that works", async () => {
    const { code, name, expiresAt } = await aCode({ labels: ["db"] });
    expect(code).toMatch(/^bx(-[0-9A-HJKMNP-TV-Z]{4}){4}$/);
    expect(expiresAt).toBeGreaterThan(Date.now() + 59 * 60_000);
    const enrolled = await use(code);
    expect(enrolled).toMatchObject({ status: 200, data: { name } });
    expect((await call({ "X-Agent-Token": enrolled.data.token }, agentApi.poll)).status).toBe(200);
    const node = await call(await asRole("viewer"), adminApi.getNode, {
      params: { id: enrolled.data.nodeId },
    });
    expect(node.data).toMatchObject({ name, labels: ["db"], hostname: "box" });
    const again = await use(code);
    expect(again).toMatchObject({ status: 401, code: "ENROLLMENT_CODE_INVALID" });
    expect(again.message).toContain("used already");
    expect(await count("nodes where name = ?", name)).toBe(1);
    expect(
      await count("audit_logs where action = 'node.enroll' and entity_id = ?", enrolled.data.nodeId),
    ).toBe(1);
  });

  it("makes one node of eight uses at the same time", async () => {
    const { code, name } = await aCode();
    const answers = await Promise.all(Array.from({ length: 8 }, () => use(code)));
    const winners = answers.filter(({ status }) => status === 200);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ code: c }) => c === "ENROLLMENT_CODE_INVALID")).toHaveLength(7);
    expect(await count("nodes where name = ?", name)).toBe(1);
    const token = winners[0]?.data.token ?? "";
    expect(await count("nodes where token_sha256 = ?", await hashToken(token))).toBe(1);
    expect(await count("audit_logs where action = 'node.enroll' and after like '%' || ? || '%'", name)).toBe(
      1,
    );
  });

  it("stays used up when its node got another name", async () => {
    const { code, name } = await aCode();
    const { data } = await use(code);
    await set("nodes", data.nodeId, { name: unique("renamed") });
    expect((await use(code)).code).toBe("ENROLLMENT_CODE_INVALID");
    expect(await count("nodes where name = ?", name)).toBe(0);
  });

  it("is not accepted when it has expired, and makes nothing", async () => {
    const { code, name } = await aCode();
    await env.DB.prepare("update install_codes set expires_at = ? where name = ?")
      .bind(Date.now() - 1, name)
      .run();
    expect(await use(code)).toMatchObject({ status: 401, message: expect.stringContaining("expired") });
    expect(await count("nodes where name = ?", name)).toBe(0);
  });

  it("is stored as a hash and is read however it is typed", async () => {
    const { code, name } = await aCode();
    const row = await env.DB.prepare("select * from install_codes where name = ?").bind(name).first();
    const symbols = code.replace(/^bx|-/g, "");
    expect(JSON.stringify(row)).not.toContain(symbols);
    expect(row).toMatchObject({ code_sha256: await hashToken(symbols) });
    expect(await hashCode(` ${code.toLowerCase().replaceAll("-", " ")} `)).toBe(row?.["code_sha256"]);
    expect(await hashCode(symbols.replaceAll("0", "o").replaceAll("1", "l"))).toBe(row?.["code_sha256"]);
  });

  it("is in no audit entry", async () => {
    const { code, name } = await aCode();
    const { data } = await use(code);
    const params = { id: data.nodeId };
    const nodeCode = (await call(await asRole("admin"), adminApi.createNodeCode, { params })).data.code;
    const { results } = await env.DB.prepare("select * from audit_logs").all();
    const log = JSON.stringify(results);
    expect(log).toContain(name);
    for (const secret of [code, code.replace(/^bx-/, ""), nodeCode, data.token])
      expect(log).not.toContain(secret);
  });

  it("is refused for a name that exists, when it is made and when it is used, and is not used up by that", async () => {
    const taken = await aNode();
    const body = { name: taken.name };
    const made = await call(await asRole("admin"), adminApi.createEnrollmentCode, { body });
    expect(made).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(await count("install_codes where name = ?", taken.name)).toBe(0);
    const { code, name } = await aCode();
    const thief = await aNode({ name });
    expect(await use(code)).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(await count("nodes where name = ?", name)).toBe(1);
    await set("nodes", thief.id, { name: unique("moved") });
    expect((await use(code)).status).toBe(200);
  });

  it("is for admins to make", async () => {
    for (const role of ["viewer", "operator"] as const) {
      const answer = await call(await asRole(role), adminApi.createEnrollmentCode, {
        body: { name: unique("x") },
      });
      expect(answer.code).toBe("FORBIDDEN");
    }
  });
});

describe("a code of a node", () => {
  const makeFor = async (id: number) =>
    call(await asRole("admin"), adminApi.createNodeCode, { params: { id } });

  it("turns another machine into that node and ends the old tokens at once", async () => {
    const node = await aNode({ ours: true });
    const rotated = await call(await asRole("admin"), adminApi.rotateNodeToken, { params: { id: node.id } });
    await set("nodes", node.id, { boot_id: "old", capabilities: "{}" });
    const { data } = await makeFor(node.id);
    const enrolled = await use(data.code);
    expect(enrolled.data).toMatchObject({ nodeId: node.id, name: node.name });
    for (const old of [node.token, rotated.data.token]) {
      expect((await call({ "X-Agent-Token": old }, agentApi.poll)).status).toBe(401);
    }
    const shown = await call(await asRole("viewer"), adminApi.getNode, { params: { id: node.id } });
    expect(shown.data).toMatchObject({
      status: "pending",
      hostname: "box",
      protocolVersion: null,
      capabilities: null,
    });
    expect((await call({ "X-Agent-Token": enrolled.data.token }, agentApi.poll)).status).toBe(200);
  });

  it("gives one token to eight uses at the same time", async () => {
    const { id } = await aNode();
    const { data } = await makeFor(id);
    const answers = await Promise.all(Array.from({ length: 8 }, () => use(data.code)));
    const winners = answers.filter(({ status }) => status === 200);
    expect(winners).toHaveLength(1);
    const token = winners[0]?.data.token ?? "";
    expect(await count("nodes where id = ? and token_sha256 = ?", id, await hashToken(token))).toBe(1);
    expect(await count("audit_logs where action = 'node.enroll' and entity_id = ?", id)).toBe(1);
  });

  it("is given five times a minute; the sixth is refused and stored nowhere", async () => {
    const { id } = await aNode();
    const answers = await Promise.all(Array.from({ length: 6 }, () => makeFor(id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 429]);
    expect(answers.find(({ status }) => status === 429)?.headers.get("Retry-After")).toBe("60");
    expect(await count("install_codes where node_id = ?", id)).toBe(5);
    expect((await makeFor((await aNode()).id)).status).toBe(200);
    await env.DB.prepare("update install_codes set created_at = created_at - 60001 where node_id = ?")
      .bind(id)
      .run();
    expect((await makeFor(id)).status).toBe(200);
  });

  it("needs a node", async () => {
    expect(await makeFor(999_999)).toMatchObject({ status: 404, code: "NODE_NOT_FOUND" });
    const { id } = await aNode();
    const { data } = await makeFor(id);
    await call(await asRole("admin"), adminApi.deleteNode, { params: { id } });
    expect((await use(data.code)).code).toBe("ENROLLMENT_CODE_INVALID");
  });
});

describe("guessing codes", () => {
  it("is slowed down by address, without a look at the code, and not for others", async () => {
    const address = anAddress();
    for (let i = 0; i < 20; i++) {
      expect((await use("bx-0000-0000-0000-0000", address)).code).toBe("ENROLLMENT_CODE_INVALID");
    }
    const { code, name } = await aCode();
    const refused = await use(code, address);
    expect(refused).toMatchObject({ status: 429, code: "TOO_MANY_REQUESTS" });
    expect(Number(refused.headers.get("Retry-After"))).toBeGreaterThan(800);
    expect(await count("nodes where name = ?", name)).toBe(0);
    expect((await use(code)).status).toBe(200);
  });

  it.each([[""], ["x".repeat(201)], [7], [null]])("refuses %j as a code", async (code) => {
    const answer = await call(from(anAddress()), agentApi.enroll, { body: { code } });
    expect(answer).toMatchObject({ status: 400, code: "INVALID_INPUT" });
  });
});

describe("the install script", () => {
  it("is served to anybody, with this master's address in it", async () => {
    const { exports } = await import("cloudflare:workers");
    const response = await exports.default.fetch(`${ORIGIN}/install.sh`);
    expect(response.headers.get("content-type")).toBe("text/x-shellscript; charset=utf-8");
    const script = await response.text();
    expect(script.split("\n")[1]).toBe("# backupx-agent installer");
    expect(script).toContain(`MASTER='${ORIGIN}'`);
  });

  it("is what a code's command fetches, with the code in the environment only", async () => {
    const { code, command } = await aCode();
    expect(command).toContain(`${ORIGIN}/install.sh`);
    expect(command.split(code)).toHaveLength(2);
    expect(command).toContain(`export BACKUPX_AGENT_CODE='${code}'`);
  });
});
