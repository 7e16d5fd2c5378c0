import type { z } from "zod";
import type { Endpoint, Envelope } from "../../../protocol/endpoint.ts";
import type { ErrorCode } from "../../../protocol/errors.ts";
import { fillPath, type Params } from "../../../protocol/path.ts";

/** An answer that is none: what the master said, or that it could not be asked. */
export class ApiError extends Error {
  readonly code: ErrorCode | "UNREACHABLE";
  readonly details: Record<string, number>;
  /** How long the master wants to be left alone with this. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: ApiError["code"],
    message: string,
    details: Record<string, number> = {},
    retryAfterSeconds: number | null = null,
  ) {
    super(message);
    this.code = code;
    this.details = details;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

type ParamsOf<E extends Endpoint> = keyof Params<E["path"]> extends never
  ? unknown
  : { params: Params<E["path"]> };
export type CallInput<E extends Endpoint> = ParamsOf<E> & {
  query?: z.input<E["query"]>;
  body?: z.input<E["body"]>;
  signal?: AbortSignal;
};

/** Somebody who must know that the session has ended. */
let onSignedOut: () => unknown = () => {};
export const whenSignedOut = (listener: () => unknown): void => {
  onSignedOut = listener;
};

/** One call to the master, as the contract declares it. Throws `ApiError` with the master's own words. */
export async function call<E extends Endpoint>(
  endpoint: E,
  input: CallInput<E>,
): Promise<z.output<E["reply"]>> {
  const { params, query, body, signal } = input as CallInput<Endpoint> & { params?: Params<string> };
  const response = await ask(addressOf(endpoint, params ?? {}, query), {
    method: endpoint.method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    ...(signal ? { signal } : {}),
  });
  const answer = (await response.json().catch(() => null)) as Envelope<z.output<E["reply"]>> | null;
  if (response.ok && answer) return answer.data as z.output<E["reply"]>;
  if (answer?.code === "UNAUTHENTICATED") onSignedOut();
  throw new ApiError(
    (answer?.code ?? "INTERNAL_ERROR") as ErrorCode,
    answer?.message ?? `The master answered ${response.status} ${response.statusText}`,
    answer?.details,
    Number(response.headers.get("retry-after")) || null,
  );
}

async function ask(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError("UNREACHABLE", (error as Error).message);
  }
}

/** The address of a call, relative to this page's master. */
function addressOf(endpoint: Endpoint, params: Params<string>, query: unknown): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  const path = fillPath(endpoint.path, params);
  return search.size > 0 ? `${path}?${search}` : path;
}
