import { type Flags, readConfig } from "../config.ts";
import { formatDuration } from "../duration.ts";
import type { ExitName } from "../exit-codes.ts";
import { peekJournal } from "../journal.ts";
import { currentHolder } from "../lock.ts";
import { readStatusNote } from "../state-dir.ts";
import { counted, printJson, printLine, printTable } from "./print.ts";

/** What the agent on this machine is doing, read from its state directory. Fails when none is running. */
export function showStatus(flags: Flags, { json }: { json?: boolean }): ExitName {
  const { stateDir } = readConfig(flags);
  const holder = currentHolder(stateDir);
  const note = readStatusNote(stateDir);
  const current = holder !== null && note?.pid === holder.pid ? note : null;
  const commands = peekJournal(stateDir).map(({ id, type, state, claimedAt }) => ({
    id,
    type,
    state: state.name,
    claimedAt,
  }));
  const status = {
    running: holder !== null,
    pid: holder?.pid ?? null,
    since: holder?.since ?? null,
    stateDir,
    master: current?.master ?? null,
    node: current?.node ?? null,
    connection: current?.connection ?? null,
    connectionSince: current?.connectionSince ?? null,
    lastContact: current?.lastContact ?? null,
    problem: current?.problem ?? null,
    commands,
  };
  if (json) printJson(status);
  else tell(status);
  return status.running ? "ok" : "failed";
}

type Status = {
  running: boolean;
  pid: number | null;
  since: number | null;
  stateDir: string;
  master: string | null;
  node: string | null;
  connection: string | null;
  connectionSince: number | null;
  problem: string | null;
  commands: { id: number; type: string; state: string; claimedAt: number }[];
};

function tell(status: Status): void {
  const ago = (time: number | null) =>
    time === null ? "unknown" : `${formatDuration(Date.now() - time)} ago`;
  printTable([
    ["agent", status.running ? `running, pid ${status.pid}, started ${ago(status.since)}` : "not running"],
    ["state", status.stateDir],
    ...(status.master ? [["master", status.master]] : []),
    ...(status.node ? [["node", status.node]] : []),
    ...(status.connection
      ? [["connection", `${status.connection}, since ${ago(status.connectionSince)}`]]
      : []),
    ...(status.problem ? [["problem", status.problem]] : []),
    [
      "in hand",
      status.commands.length === 0 ? "nothing" : counted(status.commands.length, "command", "commands"),
    ],
  ]);
  for (const { id, type, state, claimedAt } of status.commands) {
    printLine(
      `  ${id} ${type}: ${state === "finished" ? "finished, result not yet acknowledged" : state}, ${ago(claimedAt)}`,
    );
  }
}
