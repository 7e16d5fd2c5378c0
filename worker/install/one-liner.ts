import { FIRST_MARK, LAST_MARK } from "./script.ts";
import { shellQuote } from "./shell-quote.ts";

/**
 * What a person pastes into a shell to make a machine a node: fetches the installer into a file, runs it only if it is
 * the installer and whole (and not a sign-in or error page), with the code in its environment, out of process lists.
 */
export function installCommand(origin: string, code: string): string {
  const url = shellQuote(`${origin}/install.sh`);
  const isWhole = `[ "$(sed -n 2p "$f")" = ${shellQuote(FIRST_MARK)} ] && [ "$(tail -n 1 "$f")" = ${shellQuote(LAST_MARK)} ]`;
  const refusal = `echo 'What the master sent is not the installer; nothing was run.' >&2; false`;
  return [
    `(export BACKUPX_AGENT_CODE=${shellQuote(code)}`,
    `f=$(mktemp) || exit 1`,
    `if ! curl -fsS -o "$f" ${url}; then false; elif ${isWhole}; then sh "$f"; else ${refusal}; fi`,
    `s=$?`,
    `rm -f "$f"`,
    `exit "$s")`,
  ].join("; ");
}
