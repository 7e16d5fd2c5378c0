/**
 * The sum of a file's content as an index keeps it: 32 bits of XXH64, or the CRC-32 that older agents have stored. One number
 * says both, so that two sums are the same only if they were made in the same way. file-summing.ts makes them.
 */
export type FileSum = number;

/** Sums by XXH64 are numbers from here on, a CRC-32 is below. */
export const xxh64From = 2 ** 32;

export const isXxh64 = (sum: FileSum): boolean => sum >= xxh64From;

/** The 32 bits themselves. */
export const bitsOf = (sum: FileSum): number => (isXxh64(sum) ? sum - xxh64From : sum);

export const sumFromBits = (bits: number, byXxh64: boolean): FileSum => (byXxh64 ? bits + xxh64From : bits);
