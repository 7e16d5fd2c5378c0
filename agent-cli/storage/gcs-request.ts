import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import type { Dispatcher } from "undici";
import { unlessAborted } from "./abortable.ts";
import {
  encodeQuery,
  exchange,
  type HttpAnswer,
  kindOfStatus,
  makeOwnDispatcher,
  readText,
  withoutSecrets,
} from "./exchange.ts";
import type { TokenBucket } from "./limited.ts";
import { StorageError, type StorageErrorKind } from "./storage.ts";

export type GcsConfig = {
  bucket: string;
  /** A service account's key: the JSON file that Google gives out. */
  serviceAccountKey: string;
  /** Put before every key, with a slash between. */
  prefix?: string;
  /** Google's own address if not given. */
  endpoint?: string;
};

export type GcsRequestOptions = { dispatcher?: Dispatcher; stallMs: number; bucket?: TokenBucket };

export type GcsCall = {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** A path of the API below the endpoint, or the whole address of an upload's session. */
  path: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** Answers beside 2xx that are no failure. */
  accepts?: number[];
  signal: AbortSignal;
};

/** Sends one call with a token. Answers that are no success, and answers that never come, are thrown as StorageErrors. */
export type GcsSend = (call: GcsCall) => Promise<HttpAnswer>;

const googleEndpoint = "https://storage.googleapis.com";
const scope = "https://www.googleapis.com/auth/devstorage.read_write";
const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const tokenLifeSeconds = 3600;
/** A token is replaced this long before its end, so that none ends on its way. */
const renewEarlyMs = 120_000;
/** Long enough for the stall watch to be the one that speaks first. */
const tokenTimeoutMs = 5 * 60_000;
const maxAnswerBytes = 64 * 1024;
/** Google refuses signatures from further in the past or the future. */
const maxSkewMs = 4 * 60_000;

type Account = { email: string; keyId: string; key: KeyObject; tokenUri: string; secret: string };
type Token = { value: string; until: number };

/** Opens one bucket for a service account. Tokens are fetched when they are needed and kept until shortly before their end. */
export function makeGcsSend(config: GcsConfig, options: GcsRequestOptions): GcsSend {
  const account = readAccount(config.serviceAccountKey);
  const endpoint = (config.endpoint || googleEndpoint).replace(/\/+$/, "");
  const state = { token: null as Token | null, fetching: null as Promise<Token> | null, clockOffsetMs: 0 };
  const clean = (text: string) => withoutSecrets(text, [state.token?.value, account.secret]);
  const exchanging = { ...options, dispatcher: options.dispatcher ?? makeOwnDispatcher(), clean };

  const askForToken = async (signal: AbortSignal): Promise<Token> => {
    const assertion = signedClaims(account, Date.now() + state.clockOffsetMs);
    const body = Buffer.from(String(new URLSearchParams({ grant_type: grantType, assertion })));
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await exchange(
      { method: "POST", url: account.tokenUri, headers, body, signal },
      exchanging,
    );
    const text = await readText(answer, maxAnswerBytes);
    if (answer.status !== 200) throw tokenFault(answer, text, clean);
    const { access_token: value, expires_in: seconds } = parsed(text, answer);
    if (typeof value !== "string" || typeof seconds !== "number")
      throw notGoogle(answer, "it holds no token");
    return { value, until: Date.now() + seconds * 1000 - renewEarlyMs };
  };
  /** A machine whose clock is wrong still gets its backups out: the server's own clock is then used for signatures. */
  const newToken = async (signal: AbortSignal): Promise<Token> => {
    try {
      return await askForToken(signal);
    } catch (error) {
      const serverMs = error instanceof TokenFault ? error.serverMs : Number.NaN;
      const skewMs = serverMs - (Date.now() + state.clockOffsetMs);
      if (!(Math.abs(skewMs) > maxSkewMs)) throw error;
      state.clockOffsetMs += skewMs;
      return await askForToken(signal);
    }
  };
  const token = async (signal: AbortSignal): Promise<string> => {
    if (state.token && Date.now() < state.token.until) return state.token.value;
    // Calls side by side share one, so it must not end with the one that happened to ask first.
    state.fetching ??= newToken(AbortSignal.timeout(tokenTimeoutMs)).finally(() => {
      state.fetching = null;
    });
    const fetched = await unlessAborted(state.fetching, signal);
    state.token = fetched;
    return fetched.value;
  };
  const sendOnce = async (call: GcsCall): Promise<HttpAnswer> => {
    const isSession = /^https?:/.test(call.path);
    const url = `${isSession ? call.path : endpoint + call.path}${encodeQuery(call.query)}`;
    // A session's address is a secret of its own, and it may be another host's: the token does not go there.
    const headers = {
      ...call.headers,
      ...(isSession ? {} : { authorization: `Bearer ${await token(call.signal)}` }),
    };
    const body =
      call.body ?? (call.method === "PUT" || call.method === "POST" ? new Uint8Array() : undefined);
    const sized = body?.length === 0 ? { ...headers, "content-length": "0" } : headers;
    return exchange({ method: call.method, url, headers: sized, body, signal: call.signal }, exchanging);
  };
  return async (call) => {
    const isGood = ({ status }: HttpAnswer) => status < 300 || (call.accepts ?? []).includes(status);
    const answer = await sendOnce(call);
    if (isGood(answer)) return answer;
    const fault = await faultOf(answer, call, config, clean);
    if (answer.status !== 401 || state.token === null) throw fault;
    // It was taken back, or this machine's clock jumped.
    state.token = null;
    const again = await sendOnce(call);
    if (isGood(again)) return again;
    throw await faultOf(again, call, config, clean);
  };
}

/** An answer's JSON object; what is none is somebody else's answer. */
export async function readJson(answer: HttpAnswer, maxBytes: number): Promise<Record<string, unknown>> {
  return parsed(await readText(answer, maxBytes), answer);
}

/** The error for an answer that calls itself a success and is none: a proxy's or a login page, mostly. */
export const notGoogle = (answer: HttpAnswer, why: string): StorageError =>
  new StorageError(
    "failed",
    `the server answered ${answer.status} with ${answer.headers["content-type"] || "no content type"}, ` +
      `which is not what Google Cloud Storage answers (${why}): is there a proxy in between?`,
  );

function parsed(text: string, answer: HttpAnswer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Whatever it is, it is not an answer of this API.
  }
  throw notGoogle(answer, "JSON was expected");
}

function readAccount(text: string): Account {
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    const {
      client_email: email,
      private_key: secret,
      private_key_id: keyId = "",
      token_uri: tokenUri,
    } = json;
    if (typeof email !== "string" || typeof secret !== "string" || typeof keyId !== "string")
      throw new Error();
    const uri = typeof tokenUri === "string" ? tokenUri : "https://oauth2.googleapis.com/token";
    if (!["http:", "https:"].includes(new URL(uri).protocol)) throw new Error();
    return { email, keyId, key: createPrivateKey(secret), tokenUri: uri, secret };
  } catch {
    // Not what was wrong with it: that would quote the key.
    throw new StorageError(
      "invalid",
      "serviceAccountKey is not the JSON file of a service account's key, with client_email and private_key",
    );
  }
}

/** A JSON Web Token with which the account asks for an access token, signed with its own key. */
function signedClaims({ email, keyId, key, tokenUri }: Account, nowMs: number): string {
  const iat = Math.floor(nowMs / 1000);
  const claims = { iss: email, scope, aud: tokenUri, iat, exp: iat + tokenLifeSeconds };
  const encoded = [{ alg: "RS256", typ: "JWT", kid: keyId }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${encoded}.${sign("RSA-SHA256", Buffer.from(encoded), key).toString("base64url")}`;
}

class TokenFault extends StorageError {
  readonly serverMs: number;
  constructor(kind: StorageErrorKind, message: string, permanent: boolean, serverMs: number) {
    super(kind, message, { permanent });
    this.serverMs = serverMs;
  }
}

function tokenFault(answer: HttpAnswer, text: string, clean: (text: string) => string): TokenFault {
  const [kind, permanent] = answer.status === 400 ? (["denied", true] as const) : kindOfStatus(answer.status);
  let said = "it gave no reason";
  try {
    const { error, error_description: words } = JSON.parse(text) as Record<string, unknown>;
    if (typeof error === "string") said = `${error}${typeof words === "string" ? `: ${words}` : ""}`;
  } catch {
    // The status has to do.
  }
  const message = clean(`Google gave the service account no token: ${answer.status} (${said})`);
  return new TokenFault(kind, message, permanent, Date.parse(answer.headers["date"] ?? ""));
}

async function faultOf(
  answer: HttpAnswer,
  call: GcsCall,
  { bucket }: GcsConfig,
  clean: (text: string) => string,
): Promise<StorageError> {
  const text = await readText(answer, maxAnswerBytes).catch(() => "");
  answer.discard();
  const { reason, message } = readReason(text);
  const [kind, permanent] = kindOf(answer.status, reason, message);
  const said = [reason, message].filter(Boolean).join(": ") || "it gave no reason";
  return new StorageError(
    kind,
    clean(`bucket ${bucket}: ${call.method} was answered ${answer.status} (${said})`),
    { permanent },
  );
}

function readReason(text: string): { reason: string; message: string } {
  try {
    const { error } = JSON.parse(text) as {
      error?: { message?: unknown; errors?: { reason?: unknown }[] };
    };
    const reason = error?.errors?.[0]?.reason;
    return {
      reason: typeof reason === "string" ? reason : "",
      message: typeof error?.message === "string" ? error.message.slice(0, 300) : "",
    };
  } catch {
    return { reason: "", message: "" };
  }
}

/** Some reasons say more than their status does. */
const reasons: Record<string, [StorageErrorKind, boolean]> = {
  rateLimitExceeded: ["unreachable", false],
  userRateLimitExceeded: ["unreachable", false],
  backendError: ["unreachable", false],
  quotaExceeded: ["full", true],
  storageQuotaExceeded: ["full", true],
  accountDisabled: ["denied", true],
  // The hash that went with the last bytes is not that of what arrived.
  invalidHash: ["corrupt", true],
};

function kindOf(
  status: number,
  reason: string,
  message: string,
): [kind: StorageErrorKind, permanent: boolean] {
  const known = reasons[reason];
  if (known) return known;
  // A missing bucket and a missing object have the same status and reason.
  if (status === 404 && /bucket/i.test(message)) return ["invalid", true];
  if (status === 400 && /hash|md5|crc32c/i.test(message)) return ["corrupt", true];
  return kindOfStatus(status);
}
