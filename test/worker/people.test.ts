import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { adminApi } from "../../protocol/index.ts";
import { hashToken, randomHex } from "../../worker/secrets/hash.ts";
import { hashPassword, passwordMatches } from "../../worker/secrets/password.ts";
import { networkOf } from "../../worker/users/network-of.ts";
import { asRole, aUser, call, deps, fromNewAddress, ORIGIN, signedIn } from "./master.ts";

const tokenIn = (headers: { Cookie: string }) => headers.Cookie.replace("backupx_session=", "");

const auditOf = async (entity: string, entityId: number) =>
  (
    await env.DB.prepare(
      "select actor, action, before, after from audit_logs where entity = ? and entity_id = ? order by id",
    )
      .bind(entity, entityId)
      .all<{ actor: string; action: string; before: string | null; after: string | null }>()
  ).results;

const tryPassword = (username: string, password: string, from: Record<string, string>) =>
  call(from, adminApi.login, { body: { username, password } });

/** Lets time pass for everybody's failed attempts. */
const passTime = (milliseconds: number) =>
  env.DB.prepare("update login_failures set until = until - ?").bind(milliseconds).run();

describe("passwords", () => {
  it("are stored salted and peppered, with their scheme", async () => {
    const [one, two] = await Promise.all([
      hashPassword(deps.keys, "some password"),
      hashPassword(deps.keys, "some password"),
    ]);
    expect(one).toMatch(/^pbkdf2-sha256\$100000\$[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}$/);
    expect(one).not.toBe(two);
    const otherMaster = {
      ...deps.keys,
      pepper: () =>
        crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]) as Promise<CryptoKey>,
    };
    expect(await passwordMatches(deps.keys, "some password", one)).toBe(true);
    expect(await passwordMatches(deps.keys, "other password", one)).toBe(false);
    expect(await passwordMatches(otherMaster, "some password", one)).toBe(false);
    expect(await passwordMatches(deps.keys, "some password", null)).toBe(false);
  });

  it("match however a keyboard composes their letters", async () => {
    const stored = await hashPassword(deps.keys, "caf\u00e9 au lait");
    expect(await passwordMatches(deps.keys, "cafe\u0301 au lait", stored)).toBe(true);
  });
});

describe("signing in", () => {
  it("sets a cookie that scripts and other sites cannot use, and keeps only its hash", async () => {
    const user = await aUser("operator");
    const answer = await tryPassword(user.username, user.password, fromNewAddress());
    expect(answer.status).toBe(200);
    const cookie = answer.headers.get("Set-Cookie") ?? "";
    for (const attribute of ["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=604800"]) {
      expect(cookie).toContain(attribute);
    }
    const token = /^backupx_session=([0-9a-f]{64});/.exec(cookie)?.[1] ?? "";
    expect(JSON.stringify(answer.data)).not.toContain(token);
    const row = await env.DB.prepare("select token_sha256 as hash from sessions where user_id = ?")
      .bind(user.id)
      .first<{ hash: string }>();
    expect(row?.hash).toBe(await hashToken(token));
    expect(answer.data.user).toMatchObject({ username: user.username, role: "operator" });
    expect(Object.keys(answer.data.user)).not.toContain("passwordHash");
  });

  it("says the same of a wrong password, an unknown account and a disabled one", async () => {
    const user = await aUser("viewer");
    const disabled = await aUser("viewer");
    await call(await asRole("admin"), adminApi.updateUser, {
      params: { id: disabled.id },
      body: { disabled: true },
    });
    const answers = [
      await tryPassword(user.username, "not the password", fromNewAddress()),
      await tryPassword(`nobody-${randomHex(4)}`, "not the password", fromNewAddress()),
      await tryPassword(disabled.username, disabled.password, fromNewAddress()),
    ];
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 401, code: "LOGIN_FAILED", message: answers[0]?.message });
      expect(answer.headers.get("Set-Cookie")).toBeNull();
    }
  });

  it("is refused to pages of other sites", async () => {
    const user = await aUser("viewer");
    const from = { ...fromNewAddress(), Origin: "https://evil.test" };
    expect(await tryPassword(user.username, user.password, from)).toMatchObject({
      code: "CROSS_SITE_REQUEST",
    });
  });

  it("ends with the session: logging out makes the cookie worthless", async () => {
    const cookie = await signedIn(await aUser("viewer"));
    expect((await call(cookie, adminApi.me)).status).toBe(200);
    const out = await call({ ...cookie, Origin: ORIGIN }, adminApi.logout);
    expect(out.status).toBe(200);
    expect(out.headers.get("Set-Cookie")).toContain("Max-Age=0");
    expect(await call(cookie, adminApi.me)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
  });

  it("leaves other sessions of the user alive when one ends", async () => {
    const user = await aUser("viewer");
    const [one, two] = [await signedIn(user), await signedIn(user)];
    await call(one, adminApi.logout);
    expect((await call(two, adminApi.me)).status).toBe(200);
  });

  it("expires", async () => {
    const cookie = await signedIn(await aUser("viewer"));
    await env.DB.prepare("update sessions set expires_at = ? where token_sha256 = ?")
      .bind(Date.now() - 1, await hashToken(tokenIn(cookie)))
      .run();
    expect((await call(cookie, adminApi.me)).status).toBe(401);
  });

  it("cannot be used by another site's page with the user's cookie", async () => {
    const cookie = await signedIn(await aUser("admin"));
    const forged = await call({ ...cookie, Origin: "https://evil.test" }, adminApi.createApiKey, {
      body: { name: `forged ${randomHex(4)}`, role: "admin" },
    });
    expect(forged).toMatchObject({ status: 403, code: "CROSS_SITE_REQUEST" });
  });
});

describe("wrong passwords", () => {
  it("block the account after five, whatever the address, and even for the right password", async () => {
    const user = await aUser("viewer");
    for (let i = 0; i < 5; i++) {
      expect((await tryPassword(user.username, "wrong password", fromNewAddress())).code).toBe(
        "LOGIN_FAILED",
      );
    }
    const blocked = await tryPassword(user.username, user.password, fromNewAddress());
    expect(blocked).toMatchObject({ status: 429, code: "TOO_MANY_REQUESTS" });
    expect(Number(blocked.headers.get("Retry-After"))).toBeGreaterThan(25);
    expect(Number(blocked.headers.get("Retry-After"))).toBeLessThanOrEqual(30);
    expect(blocked.headers.get("Set-Cookie")).toBeNull();
    await passTime(31_000);
    expect((await tryPassword(user.username, user.password, fromNewAddress())).status).toBe(200);
  });

  it("block an account that does not exist just the same", async () => {
    const name = `ghost-${randomHex(4)}`;
    for (let i = 0; i < 5; i++) await tryPassword(name, "wrong password", fromNewAddress());
    const blocked = await tryPassword(name, "wrong password", fromNewAddress());
    expect(blocked).toMatchObject({ status: 429, code: "TOO_MANY_REQUESTS" });
  });

  it("block for longer each time", async () => {
    const name = `stubborn-${randomHex(4)}`;
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) await tryPassword(name, "wrong password", fromNewAddress());
    for (let i = 0; i < 7; i++) {
      const { headers } = await tryPassword(name, "wrong password", fromNewAddress());
      const seconds = Number(headers.get("Retry-After"));
      waits.push(seconds);
      await passTime(seconds * 1000);
      expect((await tryPassword(name, "wrong password", fromNewAddress())).code).toBe("LOGIN_FAILED");
    }
    expect(waits.map((seconds) => Math.ceil(seconds / 10) * 10)).toEqual([30, 60, 120, 240, 480, 900, 900]);
  });

  it("are counted when they come all at once", async () => {
    const user = await aUser("viewer");
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => tryPassword(user.username, "wrong password", fromNewAddress())),
    );
    expect(answers.filter((answer) => answer.code === "LOGIN_FAILED")).toHaveLength(5);
    expect(answers.filter((answer) => answer.code === "TOO_MANY_REQUESTS")).toHaveLength(7);
  });

  it("block an address after twenty, for every account, and then write nothing more", async () => {
    const user = await aUser("viewer");
    const from = fromNewAddress();
    for (let i = 0; i < 20; i++) {
      expect((await tryPassword(`guess-${randomHex(5)}`, "wrong password", from)).code).toBe("LOGIN_FAILED");
    }
    const rows = () => env.DB.prepare("select * from login_failures order by subject").all();
    const before = (await rows()).results;
    const fresh = `fresh-${randomHex(5)}`;
    expect((await tryPassword(fresh, "wrong password", from)).code).toBe("TOO_MANY_REQUESTS");
    expect((await tryPassword(user.username, user.password, from)).code).toBe("TOO_MANY_REQUESTS");
    expect((await rows()).results).toEqual(before);
    expect((await tryPassword(user.username, user.password, fromNewAddress())).status).toBe(200);
  });

  it("count for a whole IPv6 network, which one guesser can own", async () => {
    expect(networkOf("2001:DB8:0:01::9")).toBe("2001:db8:0:1::/64");
    expect(networkOf("2001:db8::9")).toBe("2001:db8:0:0::/64");
    expect(networkOf("::1")).toBe("0:0:0:0::/64");
    expect(networkOf("192.0.2.7")).toBe("192.0.2.7");
    for (let i = 0; i < 20; i++) {
      await tryPassword(`v6-${randomHex(5)}`, "wrong password", { "CF-Connecting-IP": `2001:db8:7:7::${i}` });
    }
    const next = await tryPassword(`v6-${randomHex(5)}`, "x", { "CF-Connecting-IP": "2001:db8:7:7:ffff::1" });
    expect(next.code).toBe("TOO_MANY_REQUESTS");
  });

  it("are forgotten by a right one, and after a quarter of an hour", async () => {
    const user = await aUser("viewer");
    const from = fromNewAddress();
    const failFourTimes = async () => {
      for (let i = 0; i < 4; i++) {
        expect((await tryPassword(user.username, "wrong password", from)).code).toBe("LOGIN_FAILED");
      }
    };
    await failFourTimes();
    expect((await tryPassword(user.username, user.password, from)).status).toBe(200);
    await failFourTimes();
    await passTime(15 * 60_000);
    await failFourTimes();
    expect((await tryPassword(user.username, user.password, from)).status).toBe(200);
  });

  it("are not counted for people who sign in rightly from one address", async () => {
    const user = await aUser("viewer");
    const from = fromNewAddress();
    for (let i = 0; i < 25; i++) {
      expect((await tryPassword(user.username, user.password, from)).status).toBe(200);
    }
  });
});

describe("changing one's password", () => {
  it("ends all other sessions and makes the old password worthless", async () => {
    const user = await aUser("viewer");
    const [here, elsewhere] = [await signedIn(user), await signedIn(user)];
    const body = { current: user.password, next: "another password" };
    expect((await call({ ...here, ...fromNewAddress() }, adminApi.changePassword, { body })).status).toBe(
      200,
    );
    expect((await call(here, adminApi.me)).status).toBe(200);
    expect((await call(elsewhere, adminApi.me)).status).toBe(401);
    expect((await tryPassword(user.username, user.password, fromNewAddress())).status).toBe(401);
    expect((await tryPassword(user.username, "another password", fromNewAddress())).status).toBe(200);
    const audit = await auditOf("user", user.id);
    expect(audit.map((entry) => entry.action)).toContain("user.change_password");
    expect(JSON.stringify(audit)).not.toContain("another password");
  });

  it("needs the current one, and guessing it there is slowed down too", async () => {
    const user = await aUser("viewer");
    const [cookie, other] = [await signedIn(user), await signedIn(user)];
    const change = () =>
      call({ ...cookie, ...fromNewAddress() }, adminApi.changePassword, {
        body: { current: "a wrong guess", next: "another password" },
      });
    for (let i = 0; i < 5; i++) expect(await change()).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect((await change()).code).toBe("TOO_MANY_REQUESTS");
    expect((await call(other, adminApi.me)).status).toBe(200);
  });

  it("is not for API keys", async () => {
    const answer = await call(await asRole("viewer"), adminApi.changePassword, {
      body: { current: "a current one", next: "another password" },
    });
    expect(answer).toMatchObject({ status: 403, code: "FORBIDDEN" });
  });
});

describe("users", () => {
  it("are made, listed without their passwords, and refused under a name in use", async () => {
    const admin = await asRole("admin");
    const user = await aUser("operator");
    const { data } = await call(admin, adminApi.listUsers);
    const listed = data.items.find((item) => item.id === user.id);
    expect(listed).toEqual({
      id: user.id,
      username: user.username,
      role: "operator",
      disabled: false,
      createdAt: expect.any(Number),
      lastLoginAt: null,
    });
    const again = await call(admin, adminApi.createUser, {
      body: { username: user.username, password: "long enough", role: "admin" },
    });
    expect(again).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(await auditOf("user", user.id)).toMatchObject([
      { action: "user.create", after: JSON.stringify({ username: user.username, role: "operator" }) },
    ]);
  });

  it.each([
    ["disabled", { disabled: true }],
    ["demoted", { role: "viewer" }],
    ["given another password", { password: "another password" }],
  ])("lose their sessions at once when %s", async (_what, body) => {
    const admin = await asRole("admin");
    const user = await aUser("operator");
    const cookie = await signedIn(user);
    const updated = await call(admin, adminApi.updateUser, { params: { id: user.id }, body });
    expect(updated.status).toBe(200);
    expect((await call(cookie, adminApi.me)).status).toBe(401);
    const sessions = await env.DB.prepare("select count(*) as n from sessions where user_id = ?")
      .bind(user.id)
      .first<{ n: number }>();
    expect(sessions?.n).toBe(0);
    const audit = (await auditOf("user", user.id)).find((entry) => entry.action === "user.update");
    expect(JSON.parse(audit?.before ?? "null")).toEqual({ role: "operator", disabled: false });
    expect(audit?.after).not.toContain("another password");
  });

  it("lose a role at once even where their session were to live on", async () => {
    const user = await aUser("admin");
    const cookie = await signedIn(user);
    expect((await call(cookie, adminApi.listUsers)).status).toBe(200);
    await env.DB.prepare("update users set role = 'viewer' where id = ?").bind(user.id).run();
    expect((await call(cookie, adminApi.listUsers)).status).toBe(403);
    await env.DB.prepare("update users set disabled = 1 where id = ?").bind(user.id).run();
    expect((await call(cookie, adminApi.me)).status).toBe(401);
  });

  it("lose their sessions when removed", async () => {
    const admin = await asRole("admin");
    await aUser("admin");
    const user = await aUser("admin");
    const cookie = await signedIn(user);
    expect((await call(admin, adminApi.deleteUser, { params: { id: user.id } })).status).toBe(200);
    expect((await call(cookie, adminApi.me)).status).toBe(401);
    const again = await call(admin, adminApi.deleteUser, { params: { id: user.id } });
    expect(again).toMatchObject({ status: 404, code: "USER_NOT_FOUND" });
    // The next user may get the freed id; the removed one's cookie must not become theirs.
    await aUser("admin");
    expect((await call(cookie, adminApi.me)).status).toBe(401);
    const deletion = (await auditOf("user", user.id)).filter((entry) => entry.action === "user.delete");
    expect(deletion).toHaveLength(1);
    expect(JSON.parse(deletion[0]?.before ?? "null")).toEqual({ username: user.username, role: "admin" });
  });

  it("that are unknown cannot be changed, and a change that says nothing is refused", async () => {
    const admin = await asRole("admin");
    const unknown = await call(admin, adminApi.updateUser, {
      params: { id: 987654 },
      body: { disabled: true },
    });
    expect(unknown).toMatchObject({ status: 404, code: "USER_NOT_FOUND" });
    const user = await aUser("viewer");
    const cookie = await signedIn(user);
    const nothing = await call(admin, adminApi.updateUser, { params: { id: user.id }, body: {} });
    expect(nothing).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect((await call(cookie, adminApi.me)).status).toBe(200);
  });
});

describe("the last administrator who can sign in", () => {
  /** A world of one enabled administrator, beside a disabled one and a viewer. */
  async function onlyOneAdmin() {
    await env.DB.prepare("update users set disabled = 1 where role = 'admin'").run();
    await aUser("viewer");
    const only = await aUser("admin");
    return { only, key: await asRole("admin") };
  }

  it.each([
    ["demoted", { role: "operator" }],
    ["disabled", { disabled: true }],
  ])("cannot be %s, and stays signed in", async (_what, body) => {
    const { only, key } = await onlyOneAdmin();
    const cookie = await signedIn(only);
    const answer = await call(key, adminApi.updateUser, { params: { id: only.id }, body });
    expect(answer).toMatchObject({ status: 409, code: "LAST_ADMIN" });
    expect((await call(cookie, adminApi.listUsers)).status).toBe(200);
    expect((await auditOf("user", only.id)).map((entry) => entry.action)).toEqual([
      "user.create",
      "user.login",
    ]);
  });

  it("cannot be removed", async () => {
    const { only, key } = await onlyOneAdmin();
    const answer = await call(key, adminApi.deleteUser, { params: { id: only.id } });
    expect(answer).toMatchObject({ status: 409, code: "LAST_ADMIN" });
    expect((await auditOf("user", only.id)).map((entry) => entry.action)).toEqual(["user.create"]);
  });

  it("can still get a new password, and others can be removed", async () => {
    const { only, key } = await onlyOneAdmin();
    const body = { password: "a newer password", role: "admin", disabled: false };
    expect((await call(key, adminApi.updateUser, { params: { id: only.id }, body })).status).toBe(200);
    const viewer = await aUser("viewer");
    expect((await call(key, adminApi.deleteUser, { params: { id: viewer.id } })).status).toBe(200);
  });

  it("is still there when two administrators remove each other at once", async () => {
    const { only, key } = await onlyOneAdmin();
    const other = await aUser("admin");
    const answers = await Promise.all(
      [only, other].map(({ id }) => call(key, adminApi.deleteUser, { params: { id } })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
  });
});

describe("API keys", () => {
  it("are shown once, kept as a hash, and work as bearer tokens with their role", async () => {
    const admin = await asRole("admin");
    const name = `ci ${randomHex(4)}`;
    const made = await call(admin, adminApi.createApiKey, { body: { name, role: "operator" } });
    expect(made.data.key).toMatch(/^bxk_[0-9a-f]{64}$/);
    const listed = await call(admin, adminApi.listApiKeys);
    expect(JSON.stringify(listed.data)).not.toContain(made.data.key);
    const bearer = { Authorization: `Bearer ${made.data.key}` };
    expect((await call(bearer, adminApi.me)).data).toEqual({ name, role: "operator", kind: "api_key" });
    expect((await call(bearer, adminApi.listUsers)).status).toBe(403);
    const used = await call(admin, adminApi.listApiKeys);
    expect(used.data.items.find((key) => key.name === name)?.lastUsedAt).toEqual(expect.any(Number));
    const row = await env.DB.prepare("select * from api_keys where name = ?").bind(name).first();
    expect(JSON.stringify(row)).not.toContain(made.data.key);
  });

  it("are worthless once revoked or expired", async () => {
    const admin = await asRole("admin");
    const made = await call(admin, adminApi.createApiKey, {
      body: { name: `short ${randomHex(4)}`, role: "viewer", expiresAt: Date.now() + 60_000 },
    });
    const bearer = { Authorization: `Bearer ${made.data.key}` };
    const { id } = made.data.apiKey;
    expect((await call(bearer, adminApi.me)).status).toBe(200);
    await env.DB.prepare("update api_keys set expires_at = ? where id = ?")
      .bind(Date.now() - 1, id)
      .run();
    expect((await call(bearer, adminApi.me)).status).toBe(401);
    await env.DB.prepare("update api_keys set expires_at = null where id = ?").bind(id).run();
    expect((await call(bearer, adminApi.me)).status).toBe(200);
    expect((await call(admin, adminApi.deleteApiKey, { params: { id } })).status).toBe(200);
    expect((await call(bearer, adminApi.me)).status).toBe(401);
    const again = await call(admin, adminApi.deleteApiKey, { params: { id } });
    expect(again).toMatchObject({ status: 404, code: "API_KEY_NOT_FOUND" });
    const audit = await auditOf("api_key", id);
    expect(audit.map((entry) => entry.action)).toEqual(["api_key.create", "api_key.delete"]);
    expect(JSON.stringify(audit)).not.toContain(made.data.key);
  });

  it("are refused under a name in use or with a time that has passed", async () => {
    const admin = await asRole("admin");
    const name = `twice ${randomHex(4)}`;
    await call(admin, adminApi.createApiKey, { body: { name, role: "viewer" } });
    const twice = await call(admin, adminApi.createApiKey, { body: { name, role: "viewer" } });
    expect(twice).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    const past = await call(admin, adminApi.createApiKey, {
      body: { name: `past ${randomHex(4)}`, role: "viewer", expiresAt: 1 },
    });
    expect(past).toMatchObject({ status: 400, code: "INVALID_INPUT" });
  });

  it("cannot log in to a session, and logging out with one ends nothing", async () => {
    const key = await asRole("viewer");
    expect((await call(key, adminApi.logout)).status).toBe(200);
    expect((await call(key, adminApi.me)).status).toBe(200);
  });
});

describe("lists", () => {
  it("page the audit log by key, newest first", async () => {
    const admin = await asRole("admin");
    for (let i = 0; i < 3; i++) await aUser("viewer");
    const first = await call(admin, adminApi.listAudit, { query: { limit: 2 } });
    expect(first.data.items).toHaveLength(2);
    const { next } = first.data;
    expect(next).toBe(first.data.items[1]?.id);
    const second = await call(admin, adminApi.listAudit, { query: { limit: 2, before: next ?? 0 } });
    expect(second.data.items[0]?.id).toBeLessThan(next ?? 0);
    expect(first.data.items[0]).toMatchObject({ action: "user.create", entity: "user", before: null });
  });

  it("page notifications by key, newest first", async () => {
    for (const message of ["one", "two", "three"]) {
      await env.DB.prepare("insert into notifications (at, kind, message) values (?, 'test', ?)")
        .bind(Date.now(), message)
        .run();
    }
    const viewer = await asRole("viewer");
    const first = await call(viewer, adminApi.listNotifications, { query: { limit: 2 } });
    expect(first.data.items.map((item) => item.message)).toEqual(["three", "two"]);
    const rest = await call(viewer, adminApi.listNotifications, {
      query: { limit: 2, before: first.data.next ?? 0 },
    });
    expect(rest.data).toMatchObject({ items: [{ message: "one" }], next: null });
  });
});

describe("sessions", () => {
  it("are told to whose they are, and all others can be ended from one", async () => {
    const user = await aUser("viewer");
    const here = await signedIn(user);
    const there = await signedIn(user);
    const stranger = await signedIn(await aUser("viewer"));
    const listed = await call({ ...here, "User-Agent": "any" }, adminApi.listSessions);
    expect(listed.data.items).toHaveLength(2);
    expect(listed.data.items.filter(({ current }) => current)).toHaveLength(1);
    expect(JSON.stringify(listed.data)).not.toContain(await hashToken(tokenIn(here)));
    expect((await call(here, adminApi.endOtherSessions)).data).toEqual({ ended: 1 });
    expect((await call(there, adminApi.me)).status).toBe(401);
    expect((await call(here, adminApi.me)).status).toBe(200);
    expect((await call(stranger, adminApi.me)).status).toBe(200);
    expect((await call(here, adminApi.endOtherSessions)).data).toEqual({ ended: 0 });
  });
});

describe("the audit log", () => {
  const listed = async (query: Record<string, string | number>) =>
    call(await asRole("admin"), adminApi.listAudit, { query });

  it("is filtered by who, what or what to", async () => {
    const admin = await aUser("admin");
    const as = await signedIn(admin);
    const other = await aUser("viewer");
    await call(as, adminApi.updateUser, { params: { id: other.id }, body: { disabled: true } });
    const actions = async (query: Record<string, string | number>) =>
      (await listed(query)).data.items.map(({ action }) => action);
    expect(await actions({ actor: admin.username })).toEqual(["user.update", "user.login"]);
    expect(await actions({ entity: "user", entityId: other.id })).toEqual(["user.update", "user.create"]);
    expect(new Set(await actions({ action: "user.login" }))).toEqual(new Set(["user.login"]));
  });

  it("leaves out what the master did by itself where only people are asked for", async () => {
    await env.DB.prepare(
      "insert into audit_logs (at, actor, action, entity) values (1, 'system', 'task.run', 'backup_task')",
    ).run();
    const actors = async (query: Record<string, string | number>) =>
      (await listed(query)).data.items.map(({ actor }) => actor);
    expect(await actors({})).toContain("system");
    expect(await actors({ by: "people" })).not.toContain("system");
  });

  it("takes one filter at a time, and no name that is the master's own", async () => {
    expect((await listed({ actor: "a", action: "b" })).code).toBe("INVALID_INPUT");
    expect((await listed({ entity: "user" })).code).toBe("INVALID_INPUT");
    const body = { username: "System", password: "long enough", role: "viewer" };
    expect((await call(await asRole("admin"), adminApi.createUser, { body })).message).toContain("own name");
  });
});

describe("the settings", () => {
  it("are told to everybody who is signed in, without the master's key", async () => {
    const { data } = await call(await asRole("viewer"), adminApi.getSettings);
    expect(data).toMatchObject({ protocol: { oldest: 1 }, sessionHours: deps.config.sessionMs / 3_600_000 });
    expect(data.databaseBytes).toBeGreaterThan(0);
    expect(JSON.stringify(data)).not.toContain("KEY");
  });
});
