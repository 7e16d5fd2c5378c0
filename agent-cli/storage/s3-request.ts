import { createHash } from "node:crypto";
import { AwsV4Signer } from "aws4fetch";
import type { Dispatcher } from "undici";
import {
  encodePath,
  encodeQuery,
  exchange,
  type HttpAnswer,
  kindOfStatus,
  makeOwnDispatcher,
  readText,
  withoutSecrets,
} from "./exchange.ts";
import type { TokenBucket } from "./limited.ts";
import { childText, readXml, type XmlElement } from "./read-xml.ts";
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

export type S3Answer = HttpAnswer;

/** Signs and sends one call. Answers that are no success, and answers that never come, are thrown as StorageErrors. */
export type S3Send = (call: S3Call) => Promise<S3Answer>;

const maxErrorBytes = 64 * 1024;
const maxXmlBytes = 8 * 1024 * 1024;
const emptySha256 = createHash("sha256").digest("hex");

export function makeS3Send(config: S3Config, options: S3RequestOptions): S3Send {
  const base = baseUrl(config);
  const clean = (text: string) =>
    withoutSecrets(text, [config.secretAccessKey, config.sessionToken, config.accessKeyId]);
  const exchanging = { ...options, dispatcher: options.dispatcher ?? makeOwnDispatcher(), clean };
  const keyCache = new Map<string, ArrayBuffer>();
  // A machine whose clock is wrong still gets its backups out: the server's own clock is then used for signatures.
  let clockOffsetMs = 0;

  const sendOnce = async (call: S3Call): Promise<S3Answer> => {
    const url = `${base}${call.key === undefined ? "" : `/${encodePath(call.key)}`}${encodeQuery(call.query)}`;
    const headers = await sign(config, keyCache, new Date(Date.now() + clockOffsetMs), url, call);
    return exchange({ method: call.method, url, headers, body: call.body, signal: call.signal }, exchanging);
  };
  return async (call) => {
    const answer = await sendOnce(call);
    if (answer.status < 300) return answer;
    const fault = await readFault(answer, call, config, clean);
    if (fault.code !== "RequestTimeTooSkewed" || fault.serverTimeMs === undefined) throw fault.error;
    clockOffsetMs = fault.serverTimeMs - Date.now();
    const again = await sendOnce(call);
    if (again.status >= 300) throw (await readFault(again, call, config, clean)).error;
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

function baseUrl({ endpoint, bucket, pathStyle = true }: S3Config): string {
  const url = new URL(endpoint);
  const path = url.pathname.replace(/\/+$/, "");
  if (pathStyle) return `${url.protocol}//${url.host}${path}/${encodePath(bucket)}`;
  return `${url.protocol}//${bucket}.${url.host}${path}`;
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

type Fault = { error: StorageError; code: string; serverTimeMs?: number };

async function readFault(
  answer: S3Answer,
  call: S3Call,
  config: S3Config,
  clean: (text: string) => string,
): Promise<Fault> {
  const text = await readText(answer, maxErrorBytes).catch(() => "");
  answer.discard();
  const root = parseOrNull(text);
  const code = root?.name === "Error" ? childText(root, "Code") : "";
  const said = root?.name === "Error" ? `${code}: ${childText(root, "Message")}` : "it gave no reason";
  const [kind, permanent] = kindOf(answer.status, code);
  const place = `bucket ${config.bucket} at ${new URL(config.endpoint).host}`;
  const message = clean(`${place}: ${call.method} was answered ${answer.status} (${said})`);
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
  return kindOfStatus(status);
}

function parseOrNull(text: string): XmlElement | null {
  try {
    return readXml(text);
  } catch {
    return null;
  }
}
