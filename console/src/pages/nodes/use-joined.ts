import { useEffect, useState } from "react";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import type { NodeDetail } from "./node.ts";

const LOOK_EVERY_MS = 2000;

/** The node, once a machine has come online as it since this was first asked; null until then. */
export function useJoined(nodeId: number): NodeDetail | null {
  const [wasAway, setWasAway] = useState(false);
  const [joined, setJoined] = useState<NodeDetail | null>(null);
  const { data } = useAnswer(
    adminApi.getNode,
    { params: { id: String(nodeId) } },
    { everyMs: LOOK_EVERY_MS, enabled: joined === null },
  );
  useEffect(() => {
    if (!data) return;
    if (data.status !== "online") setWasAway(true);
    // The machine that it has been until now may still be there: a new one begins as not connected yet.
    else if (wasAway && data.agentVersion !== "") setJoined(data);
  }, [data, wasAway]);
  return joined;
}
