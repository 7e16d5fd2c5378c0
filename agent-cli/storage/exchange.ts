import { Agent, type Dispatcher, request as undiciRequest } from "undici";
import { abortable } from "./abortable.ts";
import type { TokenBucket } from "./limited.ts";
import { type StallWatch, watchForStall } from "./stall.ts";
import { StorageError, type StorageErrorKind } from "./storage.ts";

/** One HTTP request as it goes out: what it carries is complete, signed and escaped. */
export type HttpCall = {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** A stream goes out chunked, since its length is not known. */
  body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  signal: AbortSignal;
};

export type HttpAnswer = {
  status: number;
  headers: Record<string, string>;
  body: AsyncIterable<Uint8Array>;
  /** Closes the connection if the body was not read to its end. */
  discard(): void;
};

export type ExchangeOptions = {
  dispatcher: Dispatcher;
  stallMs: number;
  bucket?: TokenBucket;
  /** Takes secrets out of what a server said. */
  clean: (text: string) => string;
};

const sliceBytes = 256 * 1024;
/**
 * The answer to a body may take that many times longer: the system's buffers still hold megabytes of it for a slow
 * line, and a server may have thousands of parts to join.
 */
const answerPatience = 3;

/**
 * Sends one request and gives whatever is answered; only an answer that never comes is thrown.
 *
 * undici sends: the agent already has it for its master, and one dispatcher then brings proxy, private CA and
 * SOCKS to storages too, on every Node that is supported. node:http needs about 20 % less CPU for each byte, but
 * ignores proxies silently on older releases, and packing is many times dearer than sending.
 */
export async function exchange(call: HttpCall, options: ExchangeOptions): Promise<HttpAnswer> {
  const { clean, dispatcher, stallMs } = options;
  const what = `${call.method} ${new URL(call.url).host}`;
  const watch = watchForStall(stallMs, call.signal, what);
  const { body, headers } = outgoing(call, watch, options);
  try {
    const answer = await undiciRequest(call.url, {
      method: call.method as Dispatcher.HttpMethod,
      headers,
      body: body as unknown as Uint8Array | null,
      dispatcher,
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
      body: watched(answer.body, watch, what, clean),
      discard: () => {
        watch.stop();
        answer.body.destroy();
      },
    };
  } catch (error) {
    watch.stop();
    throw networkError(error, watch.signal, what, clean);
  }
}

/** Four parts in flight, and a few more connections for reads that go on beside them. */
export const makeOwnDispatcher = (): Dispatcher =>
  new Agent({ connections: 8, pipelining: 1, keepAliveTimeout: 30_000, headersTimeout: 0, bodyTimeout: 0 });

/** Reads a short body to its end, so that the connection can be used again. */
export async function readText(answer: HttpAnswer, maxBytes: number): Promise<string> {
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

/** The whole body, and an error if it is shorter or longer than announced. */
export async function* exactly(
  answer: HttpAnswer,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let seenBytes = 0;
  try {
    for await (const chunk of abortable(answer.body, signal)) {
      seenBytes += chunk.length;
      if (seenBytes > sizeBytes) break;
      yield chunk;
    }
  } finally {
    if (seenBytes !== sizeBytes) answer.discard();
  }
  if (seenBytes === sizeBytes) return;
  throw new StorageError("unreachable", `the object's stream ended at byte ${seenBytes} of ${sizeBytes}`);
}

/** A server may echo what it was sent, and its words end in logs and on screens. */
export function withoutSecrets(text: string, secrets: (string | undefined)[]): string {
  const clean = secrets.reduce<string>(
    (rest, secret) => (secret ? rest.replaceAll(secret, "***") : rest),
    text,
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
  return clean.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, 500);
}

/** Each byte that a server could see differently is escaped. */
const encodePart = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

export const encodePath = (path: string): string => path.split("/").map(encodePart).join("/");

export function encodeQuery(query: Record<string, string> = {}): string {
  const pairs = Object.entries(query).map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`);
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

function outgoing({ body, headers }: HttpCall, watch: StallWatch, options: ExchangeOptions) {
  if (body === undefined) return { body: null, headers };
  if (!(body instanceof Uint8Array)) return { body: streamed(body, watch, options), headers };
  const sized = { ...headers, "content-length": String(body.length) };
  return body.length === 0
    ? { body: null, headers }
    : { body: streamed([body], watch, options), headers: sized };
}

/** Sent slice by slice, each a sign that data still moves; time spent waiting for the source or a limit does not count. */
export async function* streamed(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  watch: StallWatch,
  { bucket, stallMs }: Pick<ExchangeOptions, "bucket" | "stallMs">,
): AsyncGenerator<Uint8Array> {
  const step = Math.min(sliceBytes, bucket?.sliceBytes ?? sliceBytes);
  watch.pause();
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; offset += step) {
      const slice = chunk.subarray(offset, offset + step);
      if (bucket) await bucket.take(slice.length, watch.signal);
      watch.moved();
      yield slice;
      watch.pause();
    }
  }
  watch.moved(stallMs * answerPatience);
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  watch: StallWatch,
  what: string,
  clean: (text: string) => string,
): AsyncGenerator<Uint8Array> {
  try {
    watch.moved();
    for await (const chunk of body) {
      watch.pause();
      yield chunk;
      watch.moved();
    }
  } catch (error) {
    throw networkError(error, watch.signal, what, clean);
  } finally {
    watch.stop();
  }
}

const flatten = (headers: Record<string, string | string[] | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value ?? "")]));

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

/** What a connection that failed means in words; an abort's reason and a storage's own error pass as they are. */
export function networkError(
  error: unknown,
  signal: AbortSignal,
  what: string,
  clean: (text: string) => string,
): unknown {
  // The stall's error and the caller's abort are both reasons of this signal.
  if (signal.aborted) return signal.reason;
  if (error instanceof StorageError) return error;
  const { code, message } = innermost(error);
  const words = networkWords[code ?? ""] ?? message;
  const permanent = words.startsWith("its certificate");
  return new StorageError("unreachable", clean(`${what}: ${words}`), { cause: error, permanent });
}

function innermost(error: unknown): { code: string | undefined; message: string } {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  if (!(inner instanceof Error)) return { code: undefined, message: String(inner) };
  return { code: "code" in inner ? String(inner.code) : undefined, message: inner.message };
}

/** Objects are never stored as pages, so a page is somebody else's answer. */
export const isPage = (answer: HttpAnswer): boolean =>
  (answer.headers["content-type"] ?? "").startsWith("text/html");

/** What a status means to a storage over HTTP, where its protocol says nothing more about it. */
export function kindOfStatus(status: number): [kind: StorageErrorKind, permanent: boolean] {
  if (status === 404) return ["not_found", true];
  if (status === 401 || status === 403) return ["denied", true];
  if (status === 507) return ["full", true];
  if (status === 408 || status === 429 || status >= 500) return ["unreachable", false];
  // Redirects too: following one would send credentials to a place that nobody configured.
  return ["invalid", true];
}
