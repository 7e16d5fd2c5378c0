import type { QueryClient } from "@tanstack/react-query";
import type { LiveNoun } from "../../../../protocol/live.ts";

/** What else shows something of a noun: a task its last result, the dashboard of everything a little. */
const shownAt: Partial<Record<LiveNoun, string[]>> = {
  nodes: ["dashboard"],
  tasks: ["dashboard"],
  targets: ["dashboard"],
  records: ["tasks", "nodes", "dashboard"],
  commands: ["nodes"],
  restores: ["records"],
  verifications: ["records", "tasks", "dashboard"],
};

/** One change rarely comes alone, and a fleet's night of backups must not ask for a list each second. */
const FIRST_AFTER_MS = 200;
const AGAIN_AFTER_MS = 3000;

/** Asks again for what is shown of nouns that have changed, soon the first time and not too often after that. */
export function makeRenewal(client: QueryClient): (nouns: readonly LiveNoun[]) => void {
  const due = new Set<string>();
  let timer: number | undefined;
  let last = 0;

  function renew(): void {
    timer = undefined;
    last = Date.now();
    for (const noun of due) void client.invalidateQueries({ queryKey: [`/api/${noun}`] });
    due.clear();
  }

  return (nouns) => {
    for (const noun of nouns) for (const place of [noun, ...(shownAt[noun] ?? [])]) due.add(place);
    if (timer !== undefined) return;
    timer = window.setTimeout(renew, Math.max(FIRST_AFTER_MS, last + AGAIN_AFTER_MS - Date.now()));
  };
}
