import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type StoredObject = { bytes: Buffer; etag: string; contentType: string; storedAt: number };
type Upload = { key: string; contentType: string; parts: Map<number, { bytes: Buffer; etag: string }> };

/** An S3 service in memory that insists on the rules where others are lenient, and shows what it holds. */
export type StrictS3 = {
  endpoint: string;
  port: number;
  objects: Map<string, StoredObject>;
  uploads: Map<string, Upload>;
  /** Method and query names of every request that was accepted. */
  calls: string[];
  /** Most request bodies that were under way at one time. */
  maxAtOnce: number;
  /** Set to make the service refuse more than that many bytes in all. */
  quotaBytes: number;
  clock: () => number;
  close(): Promise<void>;
};

export const credentials = { accessKeyId: "AKSTRICT", secretAccessKey: "strict/secret+key=" };
export const region = "test-region";
export const bucket = "vault";
const minPartBytes = 5 * 1024 * 1024;
const maxSkewMs = 15 * 60_000;

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string) {
    super(`${code} (strict)`);
    this.status = status;
    this.code = code;
  }
}

export async function startStrictS3(): Promise<StrictS3> {
  let atOnce = 0;
  const service: StrictS3 = {
    endpoint: "",
    port: 0,
    objects: new Map(),
    uploads: new Map(),
    calls: [],
    maxAtOnce: 0,
    quotaBytes: Number.POSITIVE_INFINITY,
    clock: Date.now,
    close: () => stop(server),
  };
  const server = createServer(async (request, response) => {
    atOnce += 1;
    service.maxAtOnce = Math.max(service.maxAtOnce, atOnce);
    try {
      response.setHeader("date", new Date(service.clock()).toUTCString());
      const body = await readBody(request);
      checkSignature(request, body, service.clock());
      handle(service, request, body, response);
    } catch (error) {
      if (!(error instanceof Refusal)) return void response.destroy();
      const xml = `<Error><Code>${error.code}</Code><Message>${error.message}</Message></Error>`;
      response.writeHead(error.status, { "content-type": "application/xml" }).end(xml);
    } finally {
      atOnce -= 1;
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  service.port = (server.address() as AddressInfo).port;
  service.endpoint = `http://127.0.0.1:${service.port}`;
  return service;
}

export function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Nothing is kept of a body that breaks off: the iteration throws. */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const sha256 = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
const md5 = (data: Buffer) => createHash("md5").update(data).digest("hex");
const hmac = (key: Buffer | string, text: string) => createHmac("sha256", key).update(text).digest();

function checkSignature(request: IncomingMessage, body: Buffer, nowMs: number): void {
  const date = String(request.headers["x-amz-date"]);
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? [];
  const signedMs = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s));
  if (Math.abs(signedMs - nowMs) > maxSkewMs) throw new Refusal(403, "RequestTimeTooSkewed");
  if (request.headers["x-amz-content-sha256"] !== sha256(body))
    throw new Refusal(400, "XAmzContentSHA256Mismatch");

  const authorization = /Credential=([^,]+), SignedHeaders=([^,]+), Signature=(\w+)/.exec(
    request.headers.authorization ?? "",
  );
  if (!authorization) throw new Refusal(403, "AccessDenied");
  const [, credential, names, signature] = authorization as unknown as [string, string, string, string];
  const [keyId, day] = credential.split("/");
  if (keyId !== credentials.accessKeyId) throw new Refusal(403, "InvalidAccessKeyId");
  const signed = names.split(";");
  for (const name of ["host", "x-amz-content-sha256", "x-amz-date"]) {
    if (!signed.includes(name)) throw new Refusal(403, "AccessDenied");
  }
  // From the raw target, as it came over the wire: nothing is decoded or repaired first.
  const [path, query = ""] = (request.url ?? "").split("?");
  const canonical = [
    request.method,
    path,
    query.split("&").sort().join("&"),
    ...signed.map((name) => `${name}:${request.headers[name]}`),
    "",
    names,
    sha256(body),
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const key = ["aws4_request", "s3", region, String(day)].reduceRight<Buffer | string>(
    hmac,
    `AWS4${credentials.secretAccessKey}`,
  );
  const expected = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString("hex");
  if (signature !== expected) throw new Refusal(403, "SignatureDoesNotMatch");
}

function handle(service: StrictS3, request: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const url = new URL(request.url ?? "", "http://service");
  const isHostStyle = request.headers.host?.startsWith(`${bucket}.`) ?? false;
  const segments = url.pathname.slice(1).split("/").map(decodeURIComponent);
  if (!isHostStyle && segments.shift() !== bucket) throw new Refusal(404, "NoSuchBucket");
  const key = segments.join("/");
  const query = url.searchParams;
  const verb = `${request.method}${query.has("uploads") ? " uploads" : ""}${query.has("uploadId") ? " uploadId" : ""}`;
  service.calls.push(verb);
  const xml = (text: string) => response.writeHead(200, { "content-type": "application/xml" }).end(text);
  const contentType = request.headers["content-type"] ?? "";

  if (request.method !== "DELETE" && usedBytes(service) + body.length > service.quotaBytes) {
    throw new Refusal(507, "QuotaExceeded");
  }
  if (verb === "GET uploads") return void xml(listUploads(service, query.get("prefix") ?? ""));
  if (verb === "GET" && key === "") return void xml(listObjects(service, query));
  if (verb === "POST uploads") {
    const uploadId = randomBytes(9).toString("base64");
    service.uploads.set(uploadId, { key, contentType, parts: new Map() });
    return void xml(
      `<?xml version="1.0"?>\n<InitiateMultipartUploadResult xmlns="s3"><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`,
    );
  }
  if (verb.endsWith("uploadId")) return void handleUpload(service, verb, key, query, body, response);
  if (verb === "PUT") {
    service.objects.set(key, { bytes: body, etag: md5(body), contentType, storedAt: service.clock() });
    return void response.writeHead(200, { etag: `"${md5(body)}"` }).end();
  }
  if (verb === "DELETE") {
    service.objects.delete(key);
    return void response.writeHead(204).end();
  }
  sendObject(service, key, request, response);
}

function handleUpload(
  service: StrictS3,
  verb: string,
  key: string,
  query: URLSearchParams,
  body: Buffer,
  response: ServerResponse,
): void {
  const uploadId = query.get("uploadId") ?? "";
  const upload = service.uploads.get(uploadId);
  if (!upload || upload.key !== key) throw new Refusal(404, "NoSuchUpload");
  if (verb === "DELETE uploadId") {
    service.uploads.delete(uploadId);
    return void response.writeHead(204).end();
  }
  if (verb === "PUT uploadId") {
    upload.parts.set(Number(query.get("partNumber")), { bytes: body, etag: md5(body) });
    return void response.writeHead(200, { etag: `"${md5(body)}"` }).end();
  }
  const wanted = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag>/g)];
  const parts = wanted.map(([, number, etag], index) => {
    const part = upload.parts.get(Number(number));
    const isAsked = part && Number(number) === index + 1 && etag?.replace(/&#34;/g, "") === part.etag;
    if (!isAsked) throw new Refusal(400, "InvalidPart");
    if (index < wanted.length - 1 && part.bytes.length < minPartBytes)
      throw new Refusal(400, "EntityTooSmall");
    return part;
  });
  const etag = `${md5(Buffer.concat(parts.map((part) => Buffer.from(part.etag, "hex"))))}-${parts.length}`;
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  service.objects.set(key, { bytes, etag, contentType: upload.contentType, storedAt: service.clock() });
  service.uploads.delete(uploadId);
  response
    .writeHead(200, { "content-type": "application/xml" })
    .end(`<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`);
}

function sendObject(
  service: StrictS3,
  key: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const object = service.objects.get(key);
  if (!object) throw new Refusal(404, "NoSuchKey");
  const { bytes, etag, contentType } = object;
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const from = range ? Number(range[1]) : 0;
  if (range && from >= bytes.length) throw new Refusal(416, "InvalidRange");
  const part = range ? bytes.subarray(from, Number(range[2]) + 1) : bytes;
  const headers = { etag: `"${etag}"`, "content-type": contentType, "content-length": part.length };
  response.writeHead(range ? 206 : 200, headers).end(request.method === "HEAD" ? undefined : part);
}

const escaped = (text: string) => text.replace(/[&<>]/g, (char) => `&#x${char.charCodeAt(0).toString(16)};`);

function listObjects({ objects }: StrictS3, query: URLSearchParams): string {
  if (query.get("list-type") !== "2") throw new Refusal(400, "InvalidArgument");
  const after = Buffer.from(query.get("continuation-token") ?? "", "base64url").toString();
  const keys = [...objects.keys()].filter((key) => key.startsWith(query.get("prefix") ?? "")).sort();
  const rest = keys.filter((key) => key > after);
  const page = rest.slice(0, 1000);
  const contents = page.map((key) => {
    const { bytes, storedAt } = objects.get(key) as StoredObject;
    const time = new Date(storedAt).toISOString();
    return `<Contents><Key>${escaped(key)}</Key><LastModified>${time}</LastModified><Size>${bytes.length}</Size></Contents>`;
  });
  const isTruncated = rest.length > page.length;
  const next = isTruncated
    ? `<NextContinuationToken>${Buffer.from(page.at(-1) ?? "").toString("base64url")}</NextContinuationToken>`
    : "";
  return `<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`;
}

function listUploads({ uploads }: StrictS3, prefix: string): string {
  const found = [...uploads].filter(([, upload]) => upload.key.startsWith(prefix));
  const entries = found.map(
    ([uploadId, { key }]) => `<Upload><Key>${escaped(key)}</Key><UploadId>${uploadId}</UploadId></Upload>`,
  );
  return `<ListMultipartUploadsResult>${entries.join("")}</ListMultipartUploadsResult>`;
}

const usedBytes = ({ objects, uploads }: StrictS3): number =>
  [...objects.values(), ...[...uploads.values()].flatMap((upload) => [...upload.parts.values()])].reduce(
    (sum, { bytes }) => sum + bytes.length,
    0,
  );
