import { hashToken } from "../secrets/hash.ts";

/** Crockford's: no letter that is read as another, so a code can be typed from a screen. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SYMBOLS = 16;
const GROUP = 4;

/** A code of 80 random bits, `bx-XXXX-XXXX-XXXX-XXXX`, made from a token's first bytes. */
export function codeFrom(token: string): string {
  const symbols = Array.from(
    { length: SYMBOLS },
    // Each byte of the token gives one symbol: 256 is a multiple of 32, so all are equally likely.
    (_, i) => ALPHABET[Number.parseInt(token.slice(i * 2, i * 2 + 2), 16) % ALPHABET.length] as string,
  );
  const groups = Array.from({ length: SYMBOLS / GROUP }, (_, i) =>
    symbols.slice(i * GROUP, (i + 1) * GROUP).join(""),
  );
  return `bx-${groups.join("-")}`;
}

/** What is stored of a code: the hash of its symbols, however it was typed. Null when it cannot be a code. */
export async function hashCode(typed: string): Promise<string | null> {
  const symbols = typed
    .trim()
    .toUpperCase()
    .replace(/^BX-?/, "")
    .replace(/[\s-]/g, "")
    .replaceAll("O", "0")
    .replace(/[IL]/g, "1");
  const valid = symbols.length === SYMBOLS && [...symbols].every((symbol) => ALPHABET.includes(symbol));
  return valid ? hashToken(symbols) : null;
}
