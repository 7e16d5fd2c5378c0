import { z } from "zod";

/** Who may call: nobody in particular, a node's agent, or a person with at least this role. */
export type Audience = "public" | "agent" | "viewer" | "operator" | "admin";
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * One call between two programs: where it goes, what it carries, what comes back. `json` calls answer the envelope
 * with `reply` as its data; `stream` calls carry or answer raw bytes, `socket` calls become a WebSocket.
 */
export type Endpoint<
  Path extends `/${string}` = `/${string}`,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Reply extends z.ZodType = z.ZodType,
> = {
  method: Method;
  path: Path;
  audience: Audience;
  summary: string;
  kind: "json" | "stream" | "socket";
  query: Query;
  body: Body;
  reply: Reply;
  /** Largest request body in bytes; a larger one is answered 413. */
  maxBodyBytes: number;
};

type Declaration<
  P extends `/${string}`,
  Q extends z.ZodType,
  B extends z.ZodType,
  R extends z.ZodType,
> = Pick<Endpoint<P>, "method" | "path" | "audience" | "summary"> & {
  kind?: Endpoint["kind"];
  query?: Q;
  body?: B;
  reply?: R;
  maxBodyBytes?: number;
};

/** A call that carries no JSON body accepts none, an empty one or any object that it then ignores. */
export const noBody = z.unknown().transform(() => undefined);
export const noQuery = z.object({});
export const done = z.object({ status: z.literal("ok") });

const ONE_MIB = 1_048_576;

/** Declares a call; what is left out means: JSON, no query, no body, `{status:"ok"}`, 1 MiB at most. */
export function endpoint<
  const P extends `/${string}`,
  Q extends z.ZodType = typeof noQuery,
  B extends z.ZodType = typeof noBody,
  R extends z.ZodType = typeof done,
>(declaration: Declaration<P, Q, B, R>): Endpoint<P, Q, B, R> {
  return {
    kind: "json",
    maxBodyBytes: ONE_MIB,
    query: noQuery as unknown as Q,
    body: noBody as unknown as B,
    reply: done as unknown as R,
    ...declaration,
  };
}

/** Every JSON answer: `code` is "OK" or one of the error codes, `message` is readable by people. */
export type Envelope<T> = {
  code: string;
  message: string;
  data?: T;
  requestId?: string;
  details?: Record<string, number>;
};
