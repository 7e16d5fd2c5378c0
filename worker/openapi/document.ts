import { z } from "zod";
import { adminApi, agentApi, type Endpoint, errorStatus, noBody, objects } from "../../protocol/index.ts";

type Json = Record<string, unknown>;
type Document = {
  openapi: string;
  info: Json;
  servers: Json[];
  tags: Json[];
  paths: Record<string, Record<string, Json>>;
  components: { securitySchemes: Json; responses: Json; schemas: Json };
};

/** Objects that many answers share: described once, by these names. */
const shared = {
  Node: objects.node,
  Target: objects.target,
  Task: objects.task,
  Copy: objects.copy,
  Record: objects.record,
  Restore: objects.restore,
  Command: objects.command,
  User: objects.user,
  ApiKey: objects.apiKey,
  AuditEntry: objects.auditEntry,
  Notification: objects.notification,
  LogLine: objects.logLine,
} as const;

/** What calls of kind "stream" answer when it is not an artifact's bytes. */
const streamTypes: Record<string, string> = {
  openapi: "application/json",
  installScript: "text/x-shellscript",
  recordStream: "text/event-stream",
  restoreStream: "text/event-stream",
};

/** Headers that uploads carry beside their bytes. */
const uploadHeaders: Record<string, string[]> = {
  putArtifact: ["X-BackupX-Object-Key", "X-BackupX-SHA256"],
  uploadPart: ["X-BackupX-SHA256"],
};

/** The OpenAPI 3.1 document of every call in `protocol/`. */
export function describeApi(version: string, sessionCookie: string): Document {
  const schemas: Json = {};
  const paths: Document["paths"] = {};
  for (const [tag, api] of Object.entries({ people: adminApi, agents: agentApi })) {
    for (const [name, e] of Object.entries<Endpoint>(api)) {
      const path = e.path.replace(/:(\w+)/g, "{$1}");
      paths[path] = { ...paths[path], [e.method.toLowerCase()]: operation(name, tag, e, schemas) };
    }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "BackupX Edge",
      version,
      description: "The master's API: what the console, the command line and the agents call.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "This master" }],
    tags: [
      { name: "people", description: "Calls of people, scripts and installers" },
      { name: "agents", description: "Calls of agents" },
    ],
    paths,
    components: {
      securitySchemes: securitySchemes(sessionCookie),
      responses: { Refused: refused },
      schemas: { ...schemas, Error: errorSchema },
    },
  };
}

function operation(name: string, tag: string, e: Endpoint, schemas: Json): Json {
  const body = requestBody(e, schemas);
  return {
    operationId: name,
    tags: [tag],
    summary: e.summary,
    ...(rolesOf(e) === null ? {} : { description: rolesOf(e) }),
    security: securityOf(e),
    parameters: [...pathParameters(e), ...queryParameters(e, schemas), ...headerParameters(name)],
    ...(body ? { requestBody: body } : {}),
    responses: { ...success(name, e, schemas), default: { $ref: "#/components/responses/Refused" } },
  };
}

function rolesOf({ audience }: Endpoint): string | null {
  if (audience === "public" || audience === "agent") return null;
  return `Needs the role ${audience}${audience === "admin" ? "" : " or a higher one"}.`;
}

function securityOf({ audience }: Endpoint): Json[] {
  if (audience === "public") return [];
  return audience === "agent" ? [{ agentToken: [] }] : [{ session: [] }, { apiKey: [] }];
}

const securitySchemes = (sessionCookie: string): Json => ({
  session: {
    type: "apiKey",
    in: "cookie",
    name: sessionCookie,
    description: "What signing in sets; for browsers.",
  },
  apiKey: { type: "http", scheme: "bearer", description: "An API key, `bxk_…`; for scripts." },
  agentToken: { type: "apiKey", in: "header", name: "X-Agent-Token", description: "A node's token." },
});

const errorSchema: Json = {
  type: "object",
  required: ["code", "message"],
  properties: {
    code: { type: "string", enum: Object.keys(errorStatus) },
    message: { type: "string", description: "Readable by people; holds no secret." },
    requestId: { type: "string" },
  },
};

const refused: Json = {
  description: "Refused or failed; `code` says why, `message` tells people.",
  headers: { "Retry-After": { schema: { type: "integer" }, description: "Seconds, where waiting helps." } },
  content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
};

const pathParameters = ({ path }: Endpoint): Json[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: name === "uploadId" ? { type: "string" } : { type: "integer", minimum: 1 },
  }));

/** Each field's type is what it becomes (text in an address is coerced); whether it must be sent is what goes in. */
function queryParameters(e: Endpoint, schemas: Json): Json[] {
  const { properties = {} } = schemaOf(e.query, "output", schemas) as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, schema]) => {
    const optional = e.query instanceof z.ZodObject && e.query.shape[name]?.safeParse(undefined).success;
    return { name, in: "query", required: !optional, schema };
  });
}

const headerParameters = (name: string): Json[] =>
  (uploadHeaders[name] ?? []).map((header) => ({
    name: header,
    in: "header",
    required: true,
    schema: { type: "string" },
  }));

function requestBody(e: Endpoint, schemas: Json): Json | null {
  if (e.kind === "stream" && e.method === "PUT") {
    return { required: true, content: { "application/octet-stream": {} } };
  }
  if (e.kind !== "json" || e.body === noBody) return null;
  return {
    required: !e.body.safeParse(undefined).success,
    content: { "application/json": { schema: schemaOf(e.body, "input", schemas) } },
  };
}

function success(name: string, e: Endpoint, schemas: Json): Json {
  if (e.kind === "socket") return { "101": { description: "Now a WebSocket" } };
  if (e.kind === "stream" && e.method === "GET") {
    const type = streamTypes[name] ?? "application/octet-stream";
    return { "200": { description: e.summary, content: { [type]: {} } } };
  }
  const envelope = {
    type: "object",
    required: ["code", "message", "data"],
    properties: {
      code: { const: "OK" },
      message: { type: "string" },
      data: schemaOf(e.reply, "output", schemas),
    },
  };
  return { "200": { description: "Done", content: { "application/json": { schema: envelope } } } };
}

/** A schema as JSON Schema; shared objects in it become references, described once in `schemas`. */
function schemaOf(schema: z.ZodType, io: "input" | "output", schemas: Json): Json {
  const { $schema, $defs, ...converted } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    metadata: io === "output" ? sharedNames() : z.registry<{ id: string }>(),
    override: ({ jsonSchema }) => {
      delete jsonSchema.id;
      // An answer may have more fields in a later release; a client must not refuse it for that.
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  }) as Json & { $defs?: Json };
  Object.assign(schemas, relocate($defs ?? {}));
  return relocate(converted);
}

function sharedNames() {
  const names = z.registry<{ id: string }>();
  for (const [id, object] of Object.entries(shared)) names.add(object, { id });
  return names;
}

const relocate = (schema: Json): Json =>
  JSON.parse(JSON.stringify(schema).replaceAll("#/$defs/", "#/components/schemas/"));
