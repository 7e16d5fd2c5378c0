import { StorageError } from "./storage.ts";

const MiB = 1024 * 1024;
const maxParts = 10_000;

/** How many bytes each part of an upload has, the first being number 1; throws beyond the last one that is allowed. */
export type PartSizes = (number: number) => number;

/**
 * The part sizes for a service of S3. 10,000 parts are allowed and the length of a stream is not known when it begins, so
 * parts grow. Cloudflare's R2 refuses parts of unequal size, and only when it is to join them: there all are of 32 MiB.
 */
export function partSizesFor(endpoint: string): PartSizes {
  return new URL(endpoint).hostname.endsWith(".r2.cloudflarestorage.com")
    ? upTo("312 GiB", () => 32 * MiB)
    : upTo("521 GiB", growing);
}

/** 1,000 of 6 MiB, 1,000 of 16, the rest of 64 make 521 GiB. */
function growing(number: number): number {
  if (number <= 1000) return 6 * MiB;
  return number <= 2000 ? 16 * MiB : 64 * MiB;
}

const upTo =
  (most: string, sizeOf: PartSizes): PartSizes =>
  (number) => {
    if (number <= maxParts) return sizeOf(number);
    const limit = `the object is larger than ${most}, which is more than one upload takes here`;
    throw new StorageError("invalid", `${limit}: divide the task, or add a target of another type`);
  };
