import { adminApi, agentApi } from "../../protocol/index.ts";
import { type aNode, asRole, aTask, call } from "./master.ts";

type Node = Awaited<ReturnType<typeof aNode>>;
export const idle = { running: [], max: 4 };
export const A_HASH = "a".repeat(64);

/** A run of a new task, started by hand and claimed by our agent. */
export async function aClaimedRun(node: Node) {
  const operator = await asRole("operator");
  const task = await aTask(node);
  const started = await call(operator, adminApi.runTask, { params: { id: task.id } });
  const command = (await call(node.headers, agentApi.poll, { body: idle })).data.commands?.[0];
  if (!command?.leaseToken) throw new Error(`nothing was claimed: ${started.message}`);
  return {
    operator,
    task,
    recordId: started.data.recordId,
    commandId: command.id,
    leaseToken: command.leaseToken,
  };
}

/** The last report of a good backup, as our agent sends it. */
export function goodReport(
  run: { recordId: number; task: { id: number; targetId: number } },
  extra: object = {},
) {
  const fileName = `etc-t${run.task.id}-r${run.recordId}.tar.zst`;
  return {
    status: "success",
    fileName,
    fileSize: 1234,
    checksum: A_HASH,
    sourceBytes: 5000,
    entries: 7,
    storageUploadResults: [
      {
        storageTargetId: run.task.targetId,
        status: "success",
        storagePath: `BackupX/file/261123/records/${run.recordId}/${fileName}`,
        fileSize: 1234,
      },
    ],
    ...extra,
  };
}
