import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { adminApi, agentApi, type Endpoint } from "../../protocol/index.ts";
import { ORIGIN } from "./master.ts";

type Json = Record<string, unknown>;
type Operation = {
  operationId: string;
  security: Json[];
  parameters: { name: string; in: string; required: boolean; schema: Json }[];
  requestBody?: { required: boolean; content: Json };
  responses: Record<string, { description?: string; $ref?: string; content?: Json }>;
};
type Document = {
  openapi: string;
  info: { title: string; version: string };
  servers: Json[];
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Json; responses: Json; schemas: Record<string, Json> };
};

const endpoints: [string, Endpoint][] = Object.entries<Endpoint>({ ...adminApi, ...agentApi });
const operationOf = (document: Document, e: Endpoint) =>
  document.paths[e.path.replace(/:(\w+)/g, "{$1}")]?.[e.method.toLowerCase()];

let text: string;
let document: Document;
beforeAll(async () => {
  const response = await exports.default.fetch(`${ORIGIN}${adminApi.openapi.path}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toContain("application/json");
  text = await response.text();
  document = JSON.parse(text);
});

describe("the OpenAPI document", () => {
  it("is of version 3.1 and says what it describes, where, and how to be let in", () => {
    expect(document.openapi).toBe("3.1.0");
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    expect(document.servers).toHaveLength(1);
    expect(document.components.securitySchemes).toMatchObject({
      session: { type: "apiKey", in: "cookie", name: "backupx_session" },
      apiKey: { type: "http", scheme: "bearer" },
      agentToken: { type: "apiKey", in: "header", name: "X-Agent-Token" },
    });
  });

  it("describes every call once and nothing else", () => {
    const described = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    expect(described).toHaveLength(endpoints.length);
    expect(new Set(described.map((operation) => operation.operationId)).size).toBe(endpoints.length);
  });

  it.each(endpoints)("tells of %s: who may, what goes in, what comes back", (name, e) => {
    const operation = operationOf(document, e);
    expect(operation?.operationId).toBe(name);
    const schemes = operation?.security.flatMap((scheme) => Object.keys(scheme));
    const wanted = { public: [], agent: ["agentToken"] }[e.audience as string] ?? ["session", "apiKey"];
    expect(schemes).toEqual(wanted);
    const inPath = operation?.parameters.filter((parameter) => parameter.in === "path");
    expect(inPath?.map((parameter) => parameter.name)).toEqual(
      [...e.path.matchAll(/:(\w+)/g)].map((m) => m[1]),
    );
    expect(inPath?.every((parameter) => parameter.required)).toBe(true);
    const answers = Object.keys(operation?.responses ?? {});
    expect(answers).toEqual([e.kind === "socket" ? "101" : "200", "default"]);
  });

  it("has only references that lead somewhere, and no left-overs of single schemas", () => {
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(references.length).toBeGreaterThan(endpoints.length);
    for (const reference of new Set(references)) {
      expect(reference).toMatch(/^#\/components\//);
      const found = reference
        .slice(2)
        .split("/")
        .reduce<unknown>((value, key) => (value as Json | undefined)?.[key], document);
      expect(found, reference).toBeDefined();
    }
    expect(text).not.toContain("$defs");
    expect(text).not.toContain("$schema");
  });

  it("requires of a caller only what has no default", () => {
    const list = operationOf(document, adminApi.listNodes)?.parameters;
    expect(list?.map(({ name, required }) => [name, required])).toEqual([
      ["before", false],
      ["limit", false],
      ["label", false],
      ["status", false],
      ["text", false],
    ]);
    const preview = operationOf(document, adminApi.previewSchedule)?.parameters;
    expect(preview?.find(({ name }) => name === "schedule")?.required).toBe(true);
    const body = operationOf(document, adminApi.createTask)?.requestBody?.content as {
      "application/json": { schema: { required: string[] } };
    };
    expect(body["application/json"].schema.required).toEqual(["name", "source", "targetIds"]);
  });

  it("carries the envelope of answers and the error's, with every code", () => {
    const reply = JSON.stringify(operationOf(document, adminApi.me)?.responses["200"]);
    expect(reply).toContain('"code":{"const":"OK"}');
    expect(JSON.stringify(document.components.responses)).toContain("#/components/schemas/Error");
    expect(JSON.stringify(document.components.schemas.Error)).toContain("LAST_ADMIN");
  });
});
