import type { states } from "../../protocol/index.ts";

/** Who does it, as the audit log names them. */
export type Actor = {
  kind: "user" | "api_key" | "system";
  /** The user's or key's id; 0 for the system. */
  id: number;
  name: string;
  role: states.Role;
  ipAddress: string;
};

/** What the master does by itself, e.g. on a schedule. */
export const system: Actor = { kind: "system", id: 0, name: "system", role: "admin", ipAddress: "" };
