import { agentApi } from "../../protocol/index.ts";
import { call } from "./master.ts";

/** Polls as an agent until it is given a command, and ends that one with `result`. */
export async function answerOnce(headers: Record<string, string>, result: unknown) {
  for (;;) {
    const { data } = await call(headers, agentApi.poll, { body: { running: [], max: 0 } });
    const [command] = data.commands ?? [];
    if (!command) continue;
    const { id, attempt, leaseToken } = command;
    const body = { success: true, result, attempt, leaseToken };
    await call(headers, agentApi.commandResult, { params: { id }, body });
    return command;
  }
}
