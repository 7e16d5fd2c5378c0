import { adminApi } from "../../../api/admin-api.ts";
import { useAnswer } from "../../../api/queries.ts";
import { useTaskForm } from "./form.ts";

/** The node that is chosen, with what its agent can do; undefined for a pool and while none is chosen. */
export function useChosenNode() {
  const { place, nodeId } = useTaskForm().values;
  const isOne = place === "node" && nodeId !== null;
  return useAnswer(adminApi.getNode, { params: { id: String(nodeId) } }, { enabled: isOne }).data;
}
