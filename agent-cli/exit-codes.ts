/** How the program ends; the help prints this table. */
export const exitCodes = {
  ok: { code: 0, meaning: "done" },
  failed: { code: 1, meaning: "what was asked for failed" },
  usage: { code: 2, meaning: "wrong command line or configuration, or this Node is too old" },
  busy: { code: 3, meaning: "another agent is already running on this state directory" },
  interrupted: { code: 130, meaning: "stopped by a second signal, or in the middle of a command" },
} as const;

export type ExitName = keyof typeof exitCodes;

/** An end of the program that was foreseen: the text goes to people, the code to the shell. */
export class ExitError extends Error {
  readonly exit: ExitName;
  constructor(exit: ExitName, message: string) {
    super(message);
    this.name = "ExitError";
    this.exit = exit;
  }
}

export const exitCodeTable = (): string =>
  [
    "Exit codes:",
    ...Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`),
  ].join("\n");
