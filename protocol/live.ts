import type { Role } from "./states.ts";

/** What a console asks for again when it changes: the part after `/api/` of the calls that answer it. */
export const liveNouns = {
  nodes: "viewer",
  tasks: "viewer",
  targets: "viewer",
  records: "viewer",
  restores: "viewer",
  verifications: "viewer",
  notifications: "viewer",
  commands: "operator",
  users: "admin",
  "api-keys": "admin",
  audit: "admin",
} as const satisfies Record<string, Role>;
export type LiveNoun = keyof typeof liveNouns;

/** A run that has come to its end, for who did not watch it. */
export type EndedRun = {
  kind: "backup" | "restore" | "verification";
  id: number;
  status: string;
  /** The task whose backup it made, restored or verified; empty when there is none any more. */
  name: string;
  error: string;
};

/** What the master tells an open console, as JSON; nothing of what changed is in it, only that it did. */
export type LiveNews = { changed: LiveNoun[]; ended: EndedRun[] };

/** What a console says to see that the master is still there; it is answered without waking anything. */
export const liveWords = { ping: "ping", pong: "pong" } as const;

/** Why the master closes a console's socket. */
export const liveClose = {
  /** Who may see what may have changed: connect again. */
  askAgain: 4010,
  /** This person has opened more than are allowed at once. */
  tooMany: 4011,
} as const;
