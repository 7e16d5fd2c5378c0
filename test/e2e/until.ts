import { setTimeout as delay } from "node:timers/promises";

/** Generous, because nothing here is about speed: a busy machine must not fail a promise. */
const LONG_MS = 90_000;
/** For a whole test, which waits several times. */
export const TEST_MS = 300_000;
const BETWEEN_LOOKS_MS = 150;

/** Looks again and again until there is something; fails with what was seen last. */
export async function until<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  options: { seen?: () => unknown; limitMs?: number } = {},
): Promise<T> {
  const { seen = () => "", limitMs = LONG_MS } = options;
  const deadline = Date.now() + limitMs;
  while (Date.now() < deadline) {
    const found = await look();
    if (found) return found;
    await delay(BETWEEN_LOOKS_MS);
  }
  const last = await seen();
  throw new Error(
    `waited in vain for ${what}\n${typeof last === "string" ? last : JSON.stringify(last, null, 1)}`,
  );
}
