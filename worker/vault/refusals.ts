import type { ErrorCode } from "../../protocol/index.ts";
import { DomainError } from "../errors.ts";

/** R2's own error numbers for what a caller did wrong, in our words; its documentation lists them. */
const refusals: Record<number, [ErrorCode, string]> = {
  10007: ["ARTIFACT_NOT_FOUND", "the artifact is no longer in the vault"],
  10011: ["INVALID_INPUT", "parts: all but the last must be of the announced part size"],
  10022: ["INVALID_INPUT", "number: is not a part number"],
  10024: ["ARTIFACT_NOT_FOUND", "this upload is unknown, aborted or already completed"],
  10025: ["INVALID_INPUT", "parts: name one that was not uploaded, or with another etag"],
  10039: ["RANGE_NOT_SATISFIABLE", "Range: lies outside of the artifact"],
  10048: ["INVALID_INPUT", "parts: all but the last must be of the same size"],
};

/** Passes a result of R2 on, and its refusals as errors that the caller is told. */
export async function refusing<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const number = Number(/\((\d{5})\)$/.exec(error instanceof Error ? error.message : "")?.[1]);
    const refusal = refusals[number];
    throw refusal ? new DomainError(...refusal) : error;
  }
}
