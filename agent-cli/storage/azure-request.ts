import { createHmac } from "node:crypto";
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
import { StorageError, type StorageErrorKind } from "./storage.ts";

export type AzureConfig = {
  account: string;
  container: string;
  /** Scheme and host, and a path if there is one; the account's usual address if not given. */
  endpoint?: string;
  /** Put before every key, with a slash between. */
  prefix?: string;
  /** Either of these two opens the account. */
  accountKey?: string;
  sasToken?: string;
};

export type AzureRequestOptions = { dispatcher?: Dispatcher; stallMs: number; bucket?: TokenBucket };

export type AzureCall = {
  method: "GET" | "HEAD" | "PUT" | "DELETE";
  /** Complete name of the blob; none for a call on the container. */
  name?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
  signal: AbortSignal;
};

/** Signs and sends one call. Answers that are no success, and answers that never come, are thrown as StorageErrors. */
export type AzureSend = (call: AzureCall) => Promise<HttpAnswer>;

/** The oldest version that has everything used here, so that old stand-ins know it too. */
const apiVersion = "2020-10-02";
const maxErrorBytes = 64 * 1024;
/** Signatures are refused beyond 15 minutes of difference. */
const maxSkewMs = 10 * 60_000;

/** Opens one container of a storage account. */
export function makeAzureSend(config: AzureConfig, options: AzureRequestOptions): AzureSend {
  const endpoint = (config.endpoint || `https://${config.account}.blob.core.windows.net`).replace(/\/+$/, "");
  const base = `${endpoint}/${encodePath(config.container)}`;
  const sas = Object.fromEntries(new URLSearchParams((config.sasToken ?? "").replace(/^\?/, "")));
  const clean = (text: string) => withoutSecrets(text, [config.accountKey, config.sasToken, sas["sig"]]);
  const exchanging = { ...options, dispatcher: options.dispatcher ?? makeOwnDispatcher(), clean };
  // A machine whose clock is wrong still gets its backups out: the server's own clock is then used for signatures.
  let clockOffsetMs = 0;

  const sendOnce = (call: AzureCall): Promise<HttpAnswer> => {
    const url = `${base}${call.name === undefined ? "" : `/${encodePath(call.name)}`}`;
    const query = { ...call.query, ...(config.accountKey ? {} : sas) };
    const headers = {
      ...call.headers,
      "x-ms-version": apiVersion,
      "x-ms-date": new Date(Date.now() + clockOffsetMs).toUTCString(),
    };
    const signed = config.accountKey
      ? { ...headers, authorization: signature(config.account, config.accountKey, url, query, headers, call) }
      : headers;
    // A PUT without a body still has to say so.
    const body = call.body ?? (call.method === "PUT" ? new Uint8Array() : undefined);
    return exchange(
      { method: call.method, url: url + encodeQuery(query), headers: signed, body, signal: call.signal },
      exchanging,
    );
  };
  return async (call) => {
    const answer = await sendOnce(call);
    if (answer.status < 300) return answer;
    const fault = await faultOf(answer, call, config, clean);
    const skewMs = Date.parse(answer.headers["date"] ?? "") - (Date.now() + clockOffsetMs);
    if (fault.kind !== "denied" || !(Math.abs(skewMs) > maxSkewMs)) throw fault;
    clockOffsetMs += skewMs;
    const again = await sendOnce(call);
    if (again.status >= 300) throw await faultOf(again, call, config, clean);
    return again;
  };
}

/** The error for an answer that calls itself a success and is none: a proxy's or a login page, mostly. */
export const notAzure = (answer: HttpAnswer, why: string): StorageError =>
  new StorageError(
    "failed",
    `the server answered ${answer.status} with ${answer.headers["content-type"] || "no content type"}, ` +
      `which is not what Azure Blob Storage answers (${why}): is this address one of its accounts?`,
  );

/** Shared Key authorization: what is signed is the method, some headers, all of Azure's own, the path and the query. */
function signature(
  account: string,
  accountKey: string,
  url: string,
  query: Record<string, string>,
  headers: Record<string, string>,
  { method, body }: AzureCall,
): string {
  const length = body?.length ? String(body.length) : "";
  const own = Object.entries(headers).filter(([name]) => name.startsWith("x-ms-"));
  const lines = [
    ...[method, "", "", length, headers["content-md5"] ?? "", headers["content-type"] ?? ""],
    ...["", "", "", "", "", ""],
    ...own.sort(byName).map(([name, value]) => `${name}:${value}`),
    `/${account}${new URL(url).pathname}`,
    ...Object.entries(query)
      .sort(byName)
      .map(([name, value]) => `${name}:${value}`),
  ];
  const hmac = createHmac("sha256", Buffer.from(accountKey, "base64")).update(lines.join("\n"));
  return `SharedKey ${account}:${hmac.digest("base64")}`;
}

const byName = ([a]: [string, string], [b]: [string, string]) => (a < b ? -1 : 1);

async function faultOf(
  answer: HttpAnswer,
  call: AzureCall,
  config: AzureConfig,
  clean: (text: string) => string,
): Promise<StorageError> {
  await readText(answer, maxErrorBytes).catch(() => "");
  answer.discard();
  const code = answer.headers["x-ms-error-code"] ?? "";
  const [kind, permanent] = kindOf(answer.status, code);
  const said = code || "it gave no reason";
  const words = `container ${config.container} of ${config.account}: ${call.method} was answered ${answer.status} (${said})`;
  return new StorageError(kind, clean(words), { permanent });
}

/** Some codes say more than their status does. */
const codes: Record<string, [StorageErrorKind, boolean]> = {
  ContainerNotFound: ["invalid", true],
  ContainerBeingDeleted: ["invalid", true],
  AccountIsDisabled: ["denied", true],
  // The bytes changed on their way: sending them again is the cure.
  Md5Mismatch: ["corrupt", false],
  InvalidMd5: ["corrupt", false],
};

function kindOf(status: number, code: string): [kind: StorageErrorKind, permanent: boolean] {
  const known = codes[code];
  if (known) return known;
  return status === 413 ? ["full", true] : kindOfStatus(status);
}
