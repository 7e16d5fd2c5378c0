import type { ErrorCode } from "../../protocol/index.ts";
import { DomainError } from "../errors.ts";

export type ReportedStatus = "running" | "success" | "failed";

/** The state that an agent reports of a backup or restore; null when it says none. Another is refused with `code`. */
export function parseReportedStatus(status: string | undefined, code: ErrorCode): ReportedStatus | null {
  if (status === undefined || status === "") return null;
  if (status === "running" || status === "success" || status === "failed") return status;
  throw new DomainError(code, "status: must be running, success or failed");
}
