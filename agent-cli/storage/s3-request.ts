import { createHash } from "node:crypto";
import { AwsV4Signer } from "aws4fetch";
import { Agent, type Dispatcher, request as undiciRequest } from "undici";
import type { TokenBucket } from "./limited.ts";
import { childText, readXml, type XmlElement } from "./read-xml.ts";
import { type StallWatch, watchForStall } from "./stall.ts";
import { StorageError, type StorageErrorKind } from "./storage.ts";

export type S3Config = {
  /** Scheme, host and port, and a path if the service lives below one. */
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  /** Put before every key, with a slash between. */
  prefix?: string;
  /** The bucket is the first segment of the path (default), else the first label of the host. */
  pathStyle?: boolean;
};

export type S3RequestOptions = {
  dispatcher?: Dispatcher;
  stallMs: number;
  bucket?: TokenBucket;
};

export type S3Call = {
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Complete key, prefix included; none for a call on the bucket itself. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** SHA-256 of the body in hexadecimal, for those who send the same body more than once. */
  sha256?: string;
  signal: AbortSignal;
};

export type S3Answer = {
  status: number;
  headers: Record<string, string>;
  body: AsyncIterable<Uint8Array>;
  /** Closes the connection if the body was not read to its end. */
  discard(): void;
};

/** Signs and sends one call. Answers that are no success, and answers that never come, are thrown as StorageErrors. */
export type S3Send = (call: S3Call) => Promise<S3Answer>;

const sliceBytes = 256 * 1024;
/**
 * The answer to a body may take that many times longer: the system's buffers still hold megabytes of it for a slow
 * line, and a server may have thousands of parts to join.
 */
const answerPatience = 3;
const maxErrorBytes = 64 * 1024;
const maxXmlBytes = 8 * 1024 * 1024;
const emptySha256 = createHash("sha256").digest("hex");

/**
 * undici sends: the agent already has it for its master, and one dispatcher then brings proxy, private CA and
 * SOCKS to storages too, on every Node that is supported. node:http needs about 20 % less CPU for each byte, but
 * ignores proxies silently on older releases, and packing is many times dearer than sending.
 */
export function makeS3Send(config: S3Config, options: S3RequestOptions): S3Send {
  const base = baseUrl(config);
  const dispatcher = options.dispatcher ?? makeDispatcher();
  const keyCache = new Map<string, ArrayBuffer>();
  const inWords = (text: string) => withoutSecrets(text, config);
  // A machine whose clock is wrong still gets its backups out: the server's own clock is then used for signatures.
  let clockOffsetMs = 0;

  const sendOnce = async (call: S3Call): Promise<S3Answer> => {
    const url = `${base}${call.key === undefined ? "" : `/${encodePath(call.key)}`}${encodeQuery(call.query)}`;
    const headers = await sign(config, keyCache, new Date(Date.now() + clockOffsetMs), url, call);
    return exchange(url, headers, call, { ...options, dispatcher }, inWords);
  };
  return async (call) => {
    const answer = await sendOnce(call);
    if (answer.status < 300) return answer;
    const fault = await readFault(answer, call, config, inWords);
    if (fault.code !== "RequestTimeTooSkewed" || fault.serverTimeMs === undefined) throw fault.error;
    clockOffsetMs = fault.serverTimeMs - Date.now();
    const again = await sendOnce(call);
    if (again.status >= 300) throw (await readFault(again, call, config, inWords)).error;
    return again;
  };
}

/** Reads a bounded XML answer; the root must have that name, so that a stray page is not taken for an answer. */
export async function readXmlAnswer(answer: S3Answer, rootName: string): Promise<XmlElement> {
  const text = await readText(answer, maxXmlBytes);
  const root = parseOrNull(text);
  if (root?.name === "Error") {
    const [kind, permanent] = kindOf(500, childText(root, "Code"));
    const words = `${childText(root, "Code")}: ${childText(root, "Message")}`.slice(0, 400);
    throw new StorageError(kind, `the server answered success with an error inside: ${words}`, { permanent });
  }
  if (root?.name !== rootName) throw notS3(answer, `an answer named ${rootName} was expected`);
  return root;
}

/** The error for an answer that calls itself a success and is none: a proxy's or a login page, mostly. */
export const notS3 = (answer: S3Answer, why: string): StorageError =>
  new StorageError(
    "failed",
    `the server answered ${answer.status} with ${answer.headers["content-type"] || "no content type"}, ` +
      `which is not what S3 answers (${why}): is this address an S3 service?`,
  );

/** Reads a short body to its end, so that the connection can be used again. */
export async function readText(answer: S3Answer, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer.body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes)
      throw new StorageError("failed", `the server's answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** 4 parts in flight, and a few more connections for reads that go on beside them. */
const makeDispatcher = () =>
  new Agent({ connections: 8, pipelining: 1, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 });

function baseUrl({ endpoint, bucket, pathStyle = true }: S3Config): string {
  const url = new URL(endpoint);
  const path = url.pathname.replace(/\/+$/, "");
  if (pathStyle) return `${url.protocol}//${url.host}${path}/${encodePath(bucket)}`;
  return `${url.protocol}//${bucket}.${url.host}${path}`;
}

/** Each byte that a signature could see differently is escaped: what is sent is what was signed. */
const encodePart = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
const encodePath = (path: string) => path.split("/").map(encodePart).join("/");

function encodeQuery(query: Record<string, string> = {}): string {
  const pairs = Object.entries(query).map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`);
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

async function sign(
  config: S3Config,
  cache: Map<string, ArrayBuffer>,
  now: Date,
  url: string,
  call: S3Call,
): Promise<Record<string, string>> {
  const sha256 =
    call.sha256 ?? (call.body ? createHash("sha256").update(call.body).digest("hex") : emptySha256);
  const signer = new AwsV4Signer({
    method: call.method,
    url,
    headers: { ...call.headers, "x-amz-content-sha256": sha256 },
    accessKeyId: config.accessKeyId,
    secretAccessKey: config.secretAccessKey,
    ...(config.sessionToken ? { sessionToken: config.sessionToken } : {}),
    service: "s3",
    region: config.region,
    cache,
    datetime: now.toISOString().replace(/[:-]|\.\d{3}/g, ""),
  });
  const { headers } = await signer.sign();
  return Object.fromEntries(headers.entries());
}

async function exchange(
  url: string,
  headers: Record<string, string>,
  call: S3Call,
  options: S3RequestOptions & { dispatcher: Dispatcher },
  inWords: (text: string) => string,
): Promise<S3Answer> {
  const what = `${call.method} ${new URL(url).host}`;
  const watch = watchForStall(options.stallMs, call.signal, what);
  const body = call.body?.length ? call.body : null;
  try {
    const answer = await undiciRequest(url, {
      method: call.method,
      headers: body ? { ...headers, "content-length": String(body.length) } : headers,
      body: body ? (slices(body, watch, options) as unknown as Uint8Array) : null,
      dispatcher: options.dispatcher,
      signal: watch.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    watch.pause();
    // Those who read the body see its errors; without this, closing one that nobody reads would end the process.
    answer.body.on("error", () => {});
    return {
      status: answer.statusCode,
      headers: flatten(answer.headers),
      body: watched(answer.body, watch, what, inWords),
      discard: () => {
        watch.stop();
        answer.body.destroy();
      },
    };
  } catch (error) {
    watch.stop();
    throw networkError(error, watch.signal, what, inWords);
  }
}

/** Sent slice by slice, each a sign that data still moves; time spent waiting for the bandwidth limit does not count. */
async function* slices(
  body: Uint8Array,
  watch: StallWatch,
  { bucket, stallMs }: S3RequestOptions,
): AsyncGenerator<Uint8Array> {
  const step = Math.min(sliceBytes, bucket?.sliceBytes ?? sliceBytes);
  for (let offset = 0; offset < body.length; offset += step) {
    const slice = body.subarray(offset, offset + step);
    if (bucket) {
      watch.pause();
      await bucket.take(slice.length, watch.signal);
    }
    watch.moved();
    yield slice;
  }
  watch.moved(stallMs * answerPatience);
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  watch: StallWatch,
  what: string,
  inWords: (text: string) => string,
): AsyncGenerator<Uint8Array> {
  try {
    watch.moved();
    for await (const chunk of body) {
      watch.pause();
      yield chunk;
      watch.moved();
    }
  } catch (error) {
    throw networkError(error, watch.signal, what, inWords);
  } finally {
    watch.stop();
  }
}

const flatten = (headers: Record<string, string | string[] | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value ?? "")]));

type Fault = { error: StorageError; code: string; serverTimeMs?: number };

async function readFault(
  answer: S3Answer,
  call: S3Call,
  config: S3Config,
  inWords: (text: string) => string,
): Promise<Fault> {
  const text = await readText(answer, maxErrorBytes).catch(() => "");
  answer.discard();
  const root = parseOrNull(text);
  const code = root?.name === "Error" ? childText(root, "Code") : "";
  const said = root?.name === "Error" ? `${code}: ${childText(root, "Message")}` : "it gave no reason";
  const [kind, permanent] = kindOf(answer.status, code);
  const place = `bucket ${config.bucket} at ${new URL(config.endpoint).host}`;
  const message = inWords(`${place}: ${call.method} was answered ${answer.status} (${said})`);
  const date = Date.parse(answer.headers.date ?? "");
  return {
    error: new StorageError(kind, message, { permanent }),
    code,
    ...(Number.isNaN(date) ? {} : { serverTimeMs: date }),
  };
}

/** Some codes say more than their status does. */
const codes: Record<string, [StorageErrorKind, boolean]> = {
  NoSuchBucket: ["invalid", true],
  NotImplemented: ["invalid", true],
  QuotaExceeded: ["full", true],
  XMinioStorageFull: ["full", true],
  XMinioAdminBucketQuotaExceeded: ["full", true],
  InternalError: ["unreachable", false],
  SlowDown: ["unreachable", false],
  RequestTimeout: ["unreachable", false],
  IncompleteBody: ["unreachable", false],
  OperationAborted: ["unreachable", false],
  // The bytes changed on their way: sending them again is the cure.
  BadDigest: ["corrupt", false],
  XAmzContentSHA256Mismatch: ["corrupt", false],
  XAmzContentChecksumMismatch: ["corrupt", false],
};

function kindOf(status: number, code: string): [kind: StorageErrorKind, permanent: boolean] {
  const known = codes[code];
  if (known) return known;
  if (status === 404) return ["not_found", true];
  if (status === 401 || status === 403) return ["denied", true];
  if (status === 507) return ["full", true];
  if (status === 408 || status === 429 || status >= 500) return ["unreachable", false];
  // Redirects too: following one would send signed requests to a place that nobody configured.
  return ["invalid", true];
}

const networkWords: Record<string, string> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  UND_ERR_SOCKET: "the connection was cut",
  ENOTFOUND: "there is no such host name",
  EAI_AGAIN: "the host name could not be looked up",
  ETIMEDOUT: "the connection timed out",
  UND_ERR_CONNECT_TIMEOUT: "the connection timed out",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by an unknown authority",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host name",
};

function networkError(
  error: unknown,
  signal: AbortSignal,
  what: string,
  inWords: (text: string) => string,
): unknown {
  // The stall's error and the caller's abort are both reasons of this signal.
  if (signal.aborted) return signal.reason;
  if (error instanceof StorageError) return error;
  const { code, message } = innermost(error);
  const words = networkWords[code ?? ""] ?? message;
  const permanent = words.startsWith("its certificate");
  return new StorageError("unreachable", inWords(`${what}: ${words}`), { cause: error, permanent });
}

function innermost(error: unknown): { code: string | undefined; message: string } {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  if (!(inner instanceof Error)) return { code: undefined, message: String(inner) };
  return { code: "code" in inner ? String(inner.code) : undefined, message: inner.message };
}

function parseOrNull(text: string): XmlElement | null {
  try {
    return readXml(text);
  } catch {
    return null;
  }
}

/** A server may echo what it was sent, and its words end in logs and on screens. */
function withoutSecrets(text: string, { accessKeyId, secretAccessKey, sessionToken }: S3Config): string {
  const secrets = [secretAccessKey, sessionToken, accessKeyId].filter((secret) => secret);
  const clean = secrets.reduce<string>((rest, secret) => rest.replaceAll(secret as string, "***"), text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
  return clean.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, 500);
}
