import type { Keys } from "./keys.ts";

const SCHEME = "pbkdf2-sha256";
// The most that the platform computes in production; more is refused there, though not locally.
const ROUNDS = 100_000;
const SALT_BYTES = 16;
const HASH_BITS = 256;

const toBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** What is stored of a password: "pbkdf2-sha256$<rounds>$<salt>$<hash>", the last two base64. */
export async function hashPassword(keys: Keys, password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  return [SCHEME, ROUNDS, toBase64(salt), toBase64(await derive(keys, password, salt, ROUNDS))].join("$");
}

/**
 * Whether this is the password behind a stored hash. Null, for an account that is not there, is never matched but
 * takes as long, so that time does not tell which accounts exist.
 */
export async function passwordMatches(keys: Keys, password: string, stored: string | null): Promise<boolean> {
  const { rounds, salt, hash } = stored === null ? nobody() : parse(stored);
  const same = crypto.subtle.timingSafeEqual(await derive(keys, password, salt, rounds), hash);
  return same && stored !== null;
}

type Stored = { rounds: number; salt: Uint8Array<ArrayBuffer>; hash: Uint8Array<ArrayBuffer> };

const nobody = (): Stored => ({
  rounds: ROUNDS,
  salt: new Uint8Array(SALT_BYTES),
  hash: new Uint8Array(HASH_BITS / 8),
});

function parse(stored: string): Stored {
  const [scheme, rounds, salt, hash] = stored.split("$");
  if (scheme !== SCHEME || rounds === undefined || salt === undefined || hash === undefined) {
    throw new Error("a stored password is not in a known form");
  }
  return { rounds: Number(rounds), salt: fromBase64(salt), hash: fromBase64(hash) };
}

/** The pepper goes in first: without the master key a guess cannot even begin. */
async function derive(keys: Keys, password: string, salt: Uint8Array<ArrayBuffer>, rounds: number) {
  // One form for what keyboards and systems spell in several, e.g. an "é" of one code point or of two.
  const text = new TextEncoder().encode(password.normalize("NFKC"));
  const peppered = await crypto.subtle.sign("HMAC", await keys.pepper(), text);
  const key = await crypto.subtle.importKey("raw", peppered, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, HASH_BITS));
}
