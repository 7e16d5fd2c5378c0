import type { z } from "zod";
import type { adminApi } from "../../api/admin-api.ts";

export type Overview = z.output<typeof adminApi.dashboard.reply>;
export type AttentionKind = keyof Overview["attention"];

/** Most serious first; the first three mean that somebody may not get their data back. */
export const attentionOrder: AttentionKind[] = [
  "failing",
  "overdue",
  "damaged",
  "broken",
  "filling",
  "offline",
  "waiting",
  "shrunk",
  "unverified",
];
const serious = new Set<AttentionKind>(["failing", "overdue", "damaged"]);
export const isSerious = (kind: AttentionKind): boolean => serious.has(kind);
/** Worth doing, but no sign that anything is wrong. */
export const isAdvice = (kind: AttentionKind): boolean => kind === "unverified";
