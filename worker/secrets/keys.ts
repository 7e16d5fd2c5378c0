import type { Config } from "../config.ts";

export type Keys = {
  /** AES-256-GCM key for what is sealed in the database. */
  seal: () => Promise<CryptoKey>;
  /** HMAC key mixed into password hashes, so that a stolen database alone cannot be searched for passwords. */
  pepper: () => Promise<CryptoKey>;
};

/** The keys of this master, each derived from the one secret by HKDF under a name of its own. */
export function deriveKeys(config: Config): Keys {
  const root = once(() => crypto.subtle.importKey("raw", config.masterKey, "HKDF", false, ["deriveKey"]));
  const derive = async (
    purpose: string,
    algorithm: AesKeyAlgorithm | HmacKeyAlgorithmOf,
    usages: KeyUsage[],
  ) =>
    crypto.subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: new TextEncoder().encode(purpose) },
      await root(),
      algorithm,
      false,
      usages,
    );
  return {
    seal: once(() => derive("backupx-edge seal", { name: "AES-GCM", length: 256 }, ["encrypt", "decrypt"])),
    pepper: once(() =>
      derive("backupx-edge pepper", { name: "HMAC", hash: "SHA-256", length: 256 }, ["sign"]),
    ),
  };
}

type AesKeyAlgorithm = { name: "AES-GCM"; length: number };
type HmacKeyAlgorithmOf = { name: "HMAC"; hash: string; length: number };
type KeyUsage = "encrypt" | "decrypt" | "sign";

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
