import type { Keys } from "./keys.ts";

const VERSION = "v1";
const IV_BYTES = 12;

const toBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

export type Sealer = {
  /** Encrypts a JSON value; `place` (table and row) is bound in, so a sealed text opens only where it was put. */
  seal(place: string, value: unknown): Promise<string>;
  /** The value again; throws when the text was changed, moved to another row or sealed under another key. */
  open(place: string, sealed: string): Promise<unknown>;
};

/** AES-256-GCM with a random IV and the place as additional data: "v1.<iv>.<ciphertext>", both base64. */
export function makeSealer(keys: Keys): Sealer {
  const algorithm = (iv: Uint8Array<ArrayBuffer>, place: string) => ({
    name: "AES-GCM",
    iv,
    additionalData: new TextEncoder().encode(place),
  });
  return {
    async seal(place, value) {
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const plain = new TextEncoder().encode(JSON.stringify(value));
      const sealed = await crypto.subtle.encrypt(algorithm(iv, place), await keys.seal(), plain);
      return [VERSION, toBase64(iv), toBase64(new Uint8Array(sealed))].join(".");
    },
    async open(place, sealed) {
      const [version, iv, ciphertext] = sealed.split(".");
      if (version !== VERSION || iv === undefined || ciphertext === undefined) {
        throw new Error("a sealed value is not in a known form");
      }
      const plain = await crypto.subtle
        .decrypt(algorithm(fromBase64(iv), place), await keys.seal(), fromBase64(ciphertext))
        .catch(() => {
          throw new Error("a sealed value cannot be opened: was MASTER_KEY changed, or the row copied?");
        });
      return JSON.parse(new TextDecoder().decode(plain));
    },
  };
}
