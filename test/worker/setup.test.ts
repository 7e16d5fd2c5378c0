import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { call, fromNewAddress, ORIGIN, signedIn } from "./master.ts";

const password = "a first password";

/** In turn: storage is one per file, and only the first can set up. */
describe("first-run setup", () => {
  it("is needed on a new master", async () => {
    expect((await call({}, adminApi.setupState)).data).toEqual({ needed: true });
  });

  it("refuses a short password and a page of another site, and is needed still", async () => {
    const short = await call({}, adminApi.setup, { body: { username: "ada", password: "short" } });
    expect(short).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(short.message).toContain("password");
    const foreign = await call({ Origin: "https://evil.test" }, adminApi.setup, {
      body: { username: "ada", password },
    });
    expect(foreign).toMatchObject({ status: 403, code: "CROSS_SITE_REQUEST" });
    expect((await call({}, adminApi.setupState)).data).toEqual({ needed: true });
  });

  it("has one winner when eight try at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        call({ Origin: ORIGIN }, adminApi.setup, { body: { username: `first-${i}`, password } }),
      ),
    );
    const won = answers.filter((answer) => answer.status === 200);
    expect(won).toHaveLength(1);
    expect(answers.filter((answer) => answer.code === "ALREADY_SET_UP")).toHaveLength(7);
    const { results } = await env.DB.prepare("select username, role from users").all();
    expect(results).toEqual([{ username: won[0]?.data.user.username, role: "admin" }]);
    const audit = await env.DB.prepare(
      "select actor, after from audit_logs where action = 'user.setup'",
    ).all();
    expect(audit.results).toHaveLength(1);
    expect(JSON.stringify(audit.results)).not.toContain(password);
  });

  it("is refused afterwards, and its administrator can sign in", async () => {
    expect((await call({}, adminApi.setupState)).data).toEqual({ needed: false });
    const again = await call(fromNewAddress(), adminApi.setup, { body: { username: "second", password } });
    expect(again).toMatchObject({ status: 409, code: "ALREADY_SET_UP" });
    const row = await env.DB.prepare("select username from users").first<{ username: string }>();
    const cookie = await signedIn({ username: row?.username ?? "", password });
    expect((await call(cookie, adminApi.me)).data).toMatchObject({ role: "admin", kind: "user" });
  });
});
