import { agentApi } from "../../protocol/index.ts";
import { call } from "./master.ts";

/** Polls as an agent until it is given a command, and ends that one with `result`, or as a failure in these words. */
export async function answerOnce(headers: Record<string, string>, result: unknown, failure?: string) {
  for (;;) {
    const { data } = await call(headers, agentApi.poll, { body: { running: [], max: 0 } });
    const [command] = data.commands ?? [];
    if (!command) continue;
    const { id, attempt, leaseToken } = command;
    const ending =
      failure === undefined ? { success: true, result } : { success: false, errorMessage: failure };
    await call(headers, agentApi.commandResult, { params: { id }, body: { ...ending, attempt, leaseToken } });
    return command;
  }
}
