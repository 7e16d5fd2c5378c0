import type { z } from "zod";
import type { adminApi } from "../../../../protocol/admin-api.ts";

export type ListedNode = z.output<typeof adminApi.listNodes.reply>["items"][number];
export type NodeDetail = z.output<typeof adminApi.getNode.reply>;
/** What both have. */
export type Node = Omit<ListedNode, "queuedCount" | "runningCount">;
