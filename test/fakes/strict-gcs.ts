import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type Hash,
  type KeyObject,
  randomBytes,
  verify,
} from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { stop } from "./strict-s3.ts";

/** `bytes` is what is kept of it: all, unless the service keeps no content. */
type StoredObject = {
  bytes: Buffer;
  sizeBytes: number;
  md5Hash: string;
  generation: string;
  /** As Google writes it, in RFC 3339. */
  updated: string;
};
type Session = { name: string; pieces: Buffer[]; sizeBytes: number; md5: Hash; done: StoredObject | null };

/**
 * Google Cloud Storage's JSON API and its token service in memory, after their documentation, strict where that is: a
 * token's signature, audience and times are checked, pieces must follow each other without a gap and be multiples of
 * 256 KiB, and a hash that goes with the last one must be right. No server of Google's has been compared with it.
 */
export type StrictGcs = {
  endpoint: string;
  port: number;
  bucket: string;
  /** A key that this service knows, as a file that points to this address or to that of a proxy before it. */
  serviceAccountKey(endpoint?: string): string;
  objects: Map<string, StoredObject>;
  sessions: Map<string, Session>;
  /** Tokens given out so far, and how long one of them lasts. */
  tokensGiven: number;
  tokenSeconds: number;
  /** Tokens that were given out are refused from now on. */
  revokeTokens(): void;
  /** Stores only so much of each piece, as a busy service may; a multiple of 256 KiB. */
  storesAtOnceBytes: number;
  /** Set to make the service refuse more than that many bytes in all. */
  quotaBytes: number;
  /** Unset for objects that are larger than memory: they have their size and hash, and nothing in them. */
  keepsContent: boolean;
  clock: () => number;
  close(): Promise<void>;
};

const unit = 256 * 1024;
const scope = "https://www.googleapis.com/auth/devstorage.read_write";

class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string = reason) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export async function startStrictGcs(): Promise<StrictGcs> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const tokens = new Map<string, number>();
  const email = "backup@project.iam.gserviceaccount.com";
  const service: StrictGcs = {
    endpoint: "",
    port: 0,
    bucket: "backups",
    serviceAccountKey: (endpoint = service.endpoint) =>
      JSON.stringify({
        type: "service_account",
        client_email: email,
        private_key_id: "key-1",
        private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
        token_uri: `${endpoint}/token`,
      }),
    objects: new Map(),
    sessions: new Map(),
    tokensGiven: 0,
    tokenSeconds: 3600,
    revokeTokens: () => tokens.clear(),
    storesAtOnceBytes: Number.POSITIVE_INFINITY,
    quotaBytes: Number.POSITIVE_INFINITY,
    keepsContent: true,
    clock: Date.now,
    close: () => stop(server),
  };
  const key = createPublicKey(publicKey.export({ type: "spki", format: "pem" }));
  const server = createServer(async (request, response) => {
    response.setHeader("date", new Date(service.clock()).toUTCString());
    try {
      const url = new URL(request.url ?? "", `http://${request.headers.host}`);
      if (url.pathname === "/token")
        return await giveToken(service, tokens, { key, email, url }, request, response);
      if (url.pathname.startsWith("/session/")) return await serveSession(service, url, request, response);
      requireToken(tokens, service, request);
      await serveApi(service, url, request, response);
    } catch (error) {
      if (!(error instanceof Refusal)) return void response.destroy();
      json(response, error.status, {
        error: { code: error.status, message: error.message, errors: [{ reason: error.reason }] },
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  service.port = (server.address() as AddressInfo).port;
  service.endpoint = `http://127.0.0.1:${service.port}`;
  return service;
}

const json = (response: ServerResponse, status: number, value: unknown) =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

/** What arrived of a body; `whole` is false when it broke off. */
async function readBody(request: IncomingMessage): Promise<{ bytes: Buffer; whole: boolean }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), whole: request.complete };
  } catch {
    return { bytes: Buffer.concat(chunks), whole: false };
  }
}

async function giveToken(
  service: StrictGcs,
  tokens: Map<string, number>,
  { key, email, url }: { key: KeyObject; email: string; url: URL },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = new URLSearchParams((await readBody(request)).bytes.toString());
  const refuse = (words: string) =>
    json(response, 400, { error: "invalid_grant", error_description: `Invalid JWT: ${words}` });
  if (form.get("grant_type") !== "urn:ietf:params:oauth:grant-type:jwt-bearer") return refuse("grant_type");
  const [head = "", body = "", signature = ""] = (form.get("assertion") ?? "").split(".");
  const decode = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  const signed = verify(
    "RSA-SHA256",
    Buffer.from(`${head}.${body}`),
    key,
    Buffer.from(signature, "base64url"),
  );
  if (!signed || decode(head).alg !== "RS256") return refuse("Signature");
  const { iss, aud, iat, exp, scope: asked } = decode(body);
  const now = service.clock() / 1000;
  const timely = Math.abs(iat - now) < 300 && exp > now && exp - iat <= 3600;
  if (!timely)
    return refuse("Token must be short-lived and in a reasonable timeframe. Check your iat and exp");
  if (iss !== email || asked !== scope || !String(aud).endsWith(url.pathname)) return refuse("claims");
  const token = randomBytes(24).toString("base64url");
  tokens.set(token, service.clock() + service.tokenSeconds * 1000);
  service.tokensGiven += 1;
  json(response, 200, { access_token: token, expires_in: service.tokenSeconds, token_type: "Bearer" });
}

function requireToken(tokens: Map<string, number>, service: StrictGcs, request: IncomingMessage): void {
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  if ((tokens.get(token) ?? 0) <= service.clock()) throw new Refusal(401, "authError", "Invalid Credentials");
}

async function serveApi(
  service: StrictGcs,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // From the raw target: a slash within a name must have come escaped.
  const [path = ""] = (request.url ?? "").split("?");
  const [, upload = "", bucket = "", rest] =
    /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(path) ?? [];
  if (bucket === "") throw new Refusal(404, "notFound", "Not Found");
  if (decodeURIComponent(bucket) !== service.bucket)
    throw new Refusal(404, "notFound", "The specified bucket does not exist.");
  if (upload) return begin(service, url, request, response);
  if (rest === undefined) return list(service, url, response);
  const name = decodeURIComponent(rest);
  const object = service.objects.get(name);
  const generation = url.searchParams.get("generation");
  if (!object || (generation !== null && generation !== object.generation))
    throw new Refusal(404, "notFound", `No such object: ${service.bucket}/${name}`);
  if (request.method === "DELETE") {
    service.objects.delete(name);
    return void response.writeHead(204).end();
  }
  if (url.searchParams.get("alt") === "media") return media(object, request, response);
  json(response, 200, resource(object));
}

const resource = ({ sizeBytes, md5Hash, generation }: StoredObject) => ({
  size: String(sizeBytes),
  md5Hash,
  generation,
});

function media({ bytes }: StoredObject, request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const from = Number(range?.[1] ?? 0);
  if (range && from >= bytes.length) throw new Refusal(416, "requestedRangeNotSatisfiable");
  const part = range ? bytes.subarray(from, Number(range[2]) + 1) : bytes;
  const headers = { "content-type": "application/octet-stream", "content-length": part.length };
  response.writeHead(range ? 206 : 200, headers).end(part);
}

function list({ objects }: StrictGcs, url: URL, response: ServerResponse): void {
  const after = Buffer.from(url.searchParams.get("pageToken") ?? "", "base64url").toString();
  const max = Math.min(1000, Number(url.searchParams.get("maxResults") ?? 1000));
  const prefix = url.searchParams.get("prefix") ?? "";
  const names = [...objects.keys()].filter((name) => name.startsWith(prefix) && name > after).sort();
  const page = names.slice(0, max);
  const items = page.map((name) => {
    const object = objects.get(name);
    return { name, size: String(object?.sizeBytes), updated: object?.updated };
  });
  const nextPageToken = Buffer.from(page.at(-1) ?? "").toString("base64url");
  json(response, 200, { ...(items.length > 0 && { items }), ...(names.length > max && { nextPageToken }) });
}

async function begin(
  service: StrictGcs,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { bytes } = await readBody(request);
  JSON.parse(bytes.toString());
  const name = url.searchParams.get("name");
  if (request.method !== "POST" || url.searchParams.get("uploadType") !== "resumable" || !name)
    throw new Refusal(400, "invalid");
  const id = randomBytes(16).toString("base64url");
  service.sessions.set(id, { name, pieces: [], sizeBytes: 0, md5: createHash("md5"), done: null });
  response.writeHead(200, { location: `${url.origin}/session/${id}` }).end();
}

async function serveSession(
  service: StrictGcs,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const id = url.pathname.slice("/session/".length);
  const session = service.sessions.get(id);
  const body = await readBody(request);
  if (!session) throw new Refusal(404, "notFound", "No such upload session");
  if (request.method === "DELETE") {
    if (!session.done) service.sessions.delete(id);
    return void response.writeHead(499).end();
  }
  if (session.done) return json(response, 200, resource(session.done));
  const [, first, last, total] =
    /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(request.headers["content-range"] ?? "") ?? [];
  if (total === undefined) throw new Refusal(400, "invalid", "Content-Range");
  if (first !== undefined) append(service, session, body, Number(first), Number(last), total);
  if (total !== "*" && session.sizeBytes === Number(total)) {
    finish(service, session, request);
    return json(response, 200, resource(session.done as unknown as StoredObject));
  }
  const range = session.sizeBytes > 0 ? { range: `bytes=0-${session.sizeBytes - 1}` } : {};
  response.writeHead(308, range).end();
}

function append(
  service: StrictGcs,
  session: Session,
  { bytes, whole }: { bytes: Buffer; whole: boolean },
  first: number,
  last: number,
  total: string,
): void {
  if (first !== session.sizeBytes) throw new Refusal(400, "invalid", `expected byte ${session.sizeBytes}`);
  const isLast = total !== "*" && last + 1 === Number(total);
  if (whole && bytes.length !== last - first + 1)
    throw new Refusal(400, "invalid", "Content-Range and length differ");
  if (!isLast && (last - first + 1) % unit !== 0)
    throw new Refusal(400, "invalid", "not a multiple of 256 KiB");
  const used = [...service.objects.values()].reduce((sum, object) => sum + object.sizeBytes, 0);
  if (used + session.sizeBytes + bytes.length > service.quotaBytes) throw new Refusal(403, "quotaExceeded");
  // Of what breaks off, or of what it has no time for, it keeps whole units.
  const kept =
    whole && bytes.length <= service.storesAtOnceBytes
      ? bytes.length
      : Math.min(bytes.length, service.storesAtOnceBytes);
  const length = kept === bytes.length && whole ? kept : Math.floor(kept / unit) * unit;
  const piece = bytes.subarray(0, length);
  session.sizeBytes += length;
  session.md5.update(piece);
  if (service.keepsContent) session.pieces.push(piece);
}

function finish(service: StrictGcs, session: Session, request: IncomingMessage): void {
  const object = {
    bytes: Buffer.concat(session.pieces),
    sizeBytes: session.sizeBytes,
    // A copy, for a hash that is told wrong leaves the upload open.
    md5Hash: session.md5.copy().digest("base64"),
    generation: String(1_700_000_000_000_000 + ++generations),
    updated: new Date(service.clock()).toISOString(),
  };
  const told = /md5=(\S+)/.exec(String(request.headers["x-goog-hash"] ?? ""))?.[1];
  if (told !== undefined && told !== object.md5Hash) {
    throw new Refusal(400, "invalid", `Provided MD5 hash "${told}" doesn't match calculated MD5 hash`);
  }
  session.done = object;
  service.objects.set(session.name, object);
}

let generations = 0;
