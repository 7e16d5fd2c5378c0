import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { adminApi, agentApi, type Endpoint, type Envelope, errorStatus } from "../../protocol/index.ts";
import { aNode, asRole, everyRow, fromNewAddress, ORIGIN } from "./master.ts";

const endpoints: [string, Endpoint][] = Object.entries<Endpoint>({ ...adminApi, ...agentApi });

/** No row has this id. */
const NOBODY = 4_242_424_242;
const leaseToken = "0".repeat(32);
const sha256 = "0".repeat(64);

/** A body that each call would take, were it not for ids that no row has; calls without one need none. */
const bodies: Record<string, Record<string, unknown>> = {
  setup: { username: "ada", password: "long enough" },
  login: { username: "nobody", password: "long enough" },
  changePassword: { current: "whatever", next: "long enough" },
  createUser: { username: "new", password: "long enough", role: "viewer" },
  updateUser: { role: "viewer", disabled: true, password: "long enough" },
  createApiKey: { name: "new", role: "viewer", expiresAt: null },
  createNode: { name: "new", labels: ["a"], maxConcurrent: 2, bandwidthBytesPerSecond: 4096 },
  createNodes: { names: ["new-1", "new-2"], labels: ["a"] },
  updateNode: { name: "new", paused: true, labels: ["a"], maxConcurrent: 2, bandwidthBytesPerSecond: null },
  createEnrollmentCode: { name: "new", labels: ["a"] },
  createTarget: {
    name: "new",
    type: "local_disk",
    config: { path: "/b" },
    secrets: {},
    quotaBytes: 5000,
    bandwidthBytesPerSecond: 4096,
  },
  updateTarget: {
    name: "new",
    config: { path: "/b" },
    secrets: {},
    quotaBytes: 5000,
    bandwidthBytesPerSecond: null,
  },
  testTarget: { nodeId: NOBODY },
  createTask: {
    name: "new",
    source: { type: "file", paths: ["/etc"], excludes: ["*.log"], oneFileSystem: true },
    pipeline: {
      compression: "zstd",
      level: 3,
      bandwidthBytesPerSecond: 4096,
      differential: { fullEveryDays: 7 },
    },
    nodeId: NOBODY,
    poolLabel: null,
    targetIds: [NOBODY],
    secrets: {},
    hooks: { before: "stop-it", ifBeforeFails: "fail", afterAlways: "start-it" },
    schedule: "0 3 * * *",
    timeZone: "UTC",
    verification: { grade: 3, schedule: "0 5 * * *", nodeId: NOBODY },
    enabled: true,
  },
  discoverDatabases: {
    server: { type: "postgresql", host: "db", port: 5432, user: "backup", tls: { mode: "require" } },
    secrets: { password: "x" },
    taskId: null,
  },
  previewSource: { source: { type: "mysql", databases: ["a"] }, secrets: {}, taskId: NOBODY },
  updateTask: { name: "new", targetIds: [NOBODY], nodeId: NOBODY, schedule: "0 3 * * *", timeZone: "UTC" },
  restoreRecord: {
    nodeId: NOBODY,
    targetId: NOBODY,
    destination: "/tmp/x",
    selectedPaths: ["/etc/hosts"],
    conflict: "fail",
    options: { databases: ["a"], renameDatabases: { a: "b" } },
  },
  verifyRecord: { grade: 4, nodeId: NOBODY, targetId: NOBODY, identityFile: "/root/key" },
  lockRecord: { locked: true },
  copyRecord: { targetId: NOBODY, fromTargetId: NOBODY, nodeId: NOBODY },
  enroll: { code: "no such code", hostname: "web" },
  heartbeat: {
    hostname: "web",
    ipAddress: "192.0.2.1",
    agentVersion: "1",
    os: "linux",
    arch: "x64",
    bootId: "b",
    protocolVersion: 1,
    capabilities: {
      sources: ["file"],
      storages: ["s3"],
      engines: { sqlite: "3" },
      commands: ["a"],
      missingPrograms: [{ at: "commands.a.run", program: "/a", problem: "ENOENT" }],
    },
    freeDiskBytes: 1,
    running: [{ id: NOBODY, leaseToken }],
  },
  poll: { running: [{ id: NOBODY, leaseToken }], max: 1, bootId: "b", socket: false },
  commandResult: { success: true, errorMessage: "", result: {}, attempt: 1, leaseToken, cancelled: false },
  renewLease: { leaseToken },
  updateRecord: {
    status: "running",
    fileName: "a",
    fileSize: 1,
    checksum: sha256,
    storagePath: "a",
    storageTargetId: NOBODY,
    storageUploadResults: [{ storageTargetId: NOBODY, status: "success", fileSize: 1, checksum: sha256 }],
    errorMessage: "",
    logAppend: "a",
    log: [{ seq: 1, text: "a" }],
    leaseToken,
    sourceBytes: 1,
    entries: 1,
    warnings: [{ path: "/a", reason: "b" }],
    warningCount: 1,
    timings: { pack: 1 },
    kind: "full",
    archiveIndex: { offsetBytes: 0, sizeBytes: 1, sha256 },
  },
  beginUpload: { key: "a" },
  completeUpload: { key: "a", parts: [{ number: 1, etag: "a" }], sizeBytes: 1, sha256 },
  updateCopy: {
    status: "running",
    errorMessage: "",
    log: [{ seq: 1, text: "a" }],
    leaseToken,
    sizeBytes: 1,
    checksum: sha256,
  },
  updateRestore: {
    status: "running",
    errorMessage: "",
    logAppend: "a",
    log: [{ seq: 1, text: "a" }],
    leaseToken,
    entries: 1,
    bytes: 1,
    warnings: [{ path: "/a", reason: "b" }],
    warningCount: 1,
  },
  updateVerification: {
    status: "running",
    errorMessage: "",
    log: [{ seq: 1, text: "a" }],
    leaseToken,
    report: {
      checks: [{ grade: 1, name: "size", outcome: "passed", detail: "a" }],
      differences: [{ path: "/a", reason: "b" }],
      differenceCount: 1,
      entries: 1,
      bytes: 1,
    },
  },
};

const queries: Record<string, Record<string, string>> = {
  previewSchedule: { schedule: "0 3 * * *" },
  search: { text: "a" },
  uploadPart: { key: "a" },
  abortUpload: { key: "a" },
};

/** Values that are wrong for most fields; those that a field does take are left out where they are used. */
const wrongValues: unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e21,
  -1e21,
  Number.MAX_SAFE_INTEGER,
  "",
  "\u0000",
  "../../etc/passwd",
  "\ud800",
  "' or 1=1 --",
  [],
  [[]],
  [null],
  [-1],
  [""],
  {},
  { __proto__: null, constructor: 1 },
];

const wrongIds = [
  "0",
  "-1",
  "1.5",
  "1e3",
  "0x10",
  "abc",
  "null",
  "9007199254740993",
  "99999999999999999999999999",
  "..%2F..%2Fetc%2Fpasswd",
  "%2e%2e",
  "%00",
  "1%00",
  "1;drop",
  "%F0%28%8C%28",
  "%E0%A4%A",
  "'or'1'='1",
  "x".repeat(3000),
];

let admin: Record<string, string>;
let agent: Record<string, string>;
beforeAll(async () => {
  admin = await asRole("admin");
  agent = (await aNode({ ours: true })).headers;
});

type Request = { path?: string; query?: Record<string, string>; raw?: string; method?: string };
type Refusal = { status: number; code: string; message: string };

/** Sends a request with the right credentials and whatever else is given; what is not, is as it should be. */
async function send(name: string, e: Endpoint, request: Request): Promise<Refusal> {
  const method = request.method ?? e.method;
  const raw = request.raw ?? (bodies[name] ? JSON.stringify(bodies[name]) : undefined);
  const query = new URLSearchParams({ ...queries[name], ...request.query });
  const path = request.path ?? pathWith(e, String(NOBODY));
  const response = await exports.default.fetch(`${ORIGIN}${path}${query.size > 0 ? `?${query}` : ""}`, {
    method,
    headers: { ...(e.audience === "agent" ? agent : admin), ...fromNewAddress(), ...uploadHeaders },
    ...(raw === undefined || method === "GET" ? {} : { body: raw }),
    redirect: "manual",
  });
  const text = await response.text();
  const { code = "", message = "" } = text.startsWith("{") ? (JSON.parse(text) as Envelope<unknown>) : {};
  return { status: response.status, code, message };
}

const uploadHeaders = { "X-BackupX-SHA256": sha256, "X-BackupX-Object-Key": "a" };

const pathWith = (e: Endpoint, value: string) => e.path.replace(/:\w+/g, value);

/** That a request was refused in a way that a person can act upon, and that shows nothing of the inside. */
function expectReadable({ status, code, message }: Refusal, what: unknown) {
  const shown = JSON.stringify(what)?.slice(0, 80);
  expect(status, `${shown}: ${message}`).toBeGreaterThanOrEqual(400);
  expect(status, `${shown}: ${message}`).toBeLessThan(500);
  expect(errorStatus[code as keyof typeof errorStatus], `${shown}: ${code}`).toBe(status);
  expect(message, shown).toMatch(/^[^\n]{5,1000}$/);
  expect(message, shown).not.toMatch(/SQL|D1_|\bat \w+ \(|\[object|undefined|node_modules/);
}

async function changingNothing(run: () => Promise<void>) {
  const before = await everyRow();
  await run();
  expect(await everyRow()).toEqual(before);
}

const fieldsOf = (schema: z.ZodType): string[] => {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Record<string, unknown>;
  const object = (json.anyOf as Record<string, unknown>[] | undefined)?.[0] ?? json;
  return Object.keys((object.properties as object | undefined) ?? {});
};

const withBody = endpoints.filter(([, e]) => e.kind === "json" && fieldsOf(e.body).length > 0);
const withParams = endpoints.filter(([, e]) => e.path.includes(":"));
const withQuery = endpoints.filter(([, e]) => fieldsOf(e.query).length > 0);

describe("these tests", () => {
  it.each(withBody)("have a body that %s takes, with all its important fields", (name, e) => {
    expect(e.body.safeParse(bodies[name]).error?.issues).toBeUndefined();
  });
});

describe.each(withBody)("a wrong body of %s", (name, e) => {
  it("is refused, field by field, and changes nothing", async () => {
    await changingNothing(async () => {
      for (const field of fieldsOf(e.body)) {
        for (const value of [...wrongValues, "x".repeat(Math.min(300_000, e.maxBodyBytes / 2))]) {
          const body = { ...bodies[name], [field]: value };
          if (e.body.safeParse(JSON.parse(JSON.stringify(body))).success) continue;
          const refusal = await send(name, e, { raw: JSON.stringify(body) });
          expectReadable(refusal, { [field]: value });
          expect(refusal).toMatchObject({ status: 400, code: "INVALID_INPUT" });
          expect(refusal.message).toContain(field);
        }
      }
    });
  });

  it("is refused when a field is missing that is needed, and changes nothing", async () => {
    await changingNothing(async () => {
      for (const field of fieldsOf(e.body)) {
        const { [field]: _, ...rest } = bodies[name] ?? {};
        if (e.body.safeParse(rest).success) continue;
        const refusal = await send(name, e, { raw: JSON.stringify(rest) });
        expectReadable(refusal, { missing: field });
        expect(refusal.message).toContain(field);
      }
    });
  });

  it("is refused when it is no JSON object, and changes nothing", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const deepObject = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    const raws = ["{", "nonsense", "[]", "null", "1", '"x"', "{'a':1}", "\u0000", deep, deep.slice(1)];
    await changingNothing(async () => {
      for (const raw of [...raws, deepObject.slice(0, e.maxBodyBytes)]) {
        if (isAccepted(e, raw)) continue;
        expectReadable(await send(name, e, { raw }), raw.slice(0, 20));
      }
    });
  });

  it("never breaks it by depth: 100,000 levels in any one field", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const deepObject = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    for (const field of fieldsOf(e.body)) {
      for (const nested of [deep, deepObject]) {
        const raw = JSON.stringify({ ...bodies[name], [field]: 0 }).replace(
          `"${field}":0`,
          `"${field}":${nested}`,
        );
        const { status, message } = await send(name, e, { raw });
        expect(status, `${field}: ${message}`).toBeLessThan(500);
      }
    }
  });
});

function isAccepted(e: Endpoint, raw: string): boolean {
  try {
    return e.body.safeParse(JSON.parse(raw)).success;
  } catch {
    return false;
  }
}

describe.each(withParams)("the path of %s", (name, e) => {
  it("takes no id that is not one, and changes nothing", async () => {
    await changingNothing(async () => {
      for (const id of wrongIds) {
        const refusal = await send(name, e, { path: pathWith(e, id) });
        // Text of the right form is a path of other parts once it is decoded, and so may lead nowhere.
        expectReadable(refusal, id);
      }
    });
  });

  it("says so when no row has the id, and changes nothing", async () => {
    await changingNothing(async () => {
      for (const id of [String(NOBODY), String(Number.MAX_SAFE_INTEGER)]) {
        expectReadable(await send(name, e, { path: pathWith(e, id) }), id);
      }
    });
  });
});

describe.each(withQuery)("a wrong query of %s", (name, e) => {
  it("is refused, field by field, and changes nothing", async () => {
    await changingNothing(async () => {
      for (const field of fieldsOf(e.query)) {
        for (const value of ["", "-1", "0", "1.5", "1e99", "abc", "../..", "\u0000", "x".repeat(5000)]) {
          const query = { ...queries[name], [field]: value };
          if (e.query.safeParse(query).success) continue;
          const refusal = await send(name, e, { query });
          expectReadable(refusal, query);
        }
      }
    });
  });
});

describe("a wrong method", () => {
  const paths = [...new Set(endpoints.map(([, e]) => e.path))];
  it.each(paths)("on %s leads nowhere and changes nothing", async (path) => {
    const [first] = endpoints.filter(([, e]) => e.path === path);
    if (!first) throw new Error("no endpoint");
    const declared = endpoints.filter(([, e]) => matches(e.path, path)).map(([, e]) => e.method as string);
    await changingNothing(async () => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
        if (declared.includes(method)) continue;
        expectReadable(await send(first[0], first[1], { method }), method);
      }
    });
  });
});

/** Whether a request for `asked`, its ids filled in, could also be one for `path`. */
const matches = (path: string, asked: string) =>
  new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`).test(asked);
