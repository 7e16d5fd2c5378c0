import { z } from "zod";

const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** A public key that backups are encrypted to. Its checksum is looked at, because a typing error would lock everybody out. */
export const ageRecipient = z
  .string()
  .trim()
  .superRefine((text, context) => {
    if (isAgeRecipient(text)) return;
    // The value itself is never repeated: this may be the one thing that must not be seen here.
    const isPrivate = /^AGE-SECRET-KEY-/i.test(text);
    context.addIssue({
      code: "custom",
      message: isPrivate
        ? "is a private identity, which nobody but its owner may see: give its public key, age1 and 58 more characters"
        : "must be an age public key: age1 and 58 more characters, without a typing error",
    });
  });

/** Whether a text is an X25519 public key of age, as Bech32 writes 32 bytes. */
function isAgeRecipient(text: string): boolean {
  if (!/^age1[02-9ac-hj-np-z]{58}$/.test(text)) return false;
  const values = [...text.slice(4)].map((letter) => alphabet.indexOf(letter));
  // 32 bytes are 51 groups of five bits and one bit more: the four bits that fill the last group up are zero.
  if (((values[51] ?? 0) & 0b1111) !== 0) return false;
  return polymod([...expandedPrefix, ...values]) === 1;
}

const expandedPrefix = [
  ...[..."age"].map((letter) => letter.charCodeAt(0) >> 5),
  0,
  ...[..."age"].map((letter) => letter.charCodeAt(0) & 31),
];

/** Bech32's checksum of a sequence of five-bit values; 1 when it holds. */
function polymod(values: number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (const [bit, term] of generator.entries()) if ((top >> bit) & 1) sum ^= term;
  }
  return sum >>> 0;
}
