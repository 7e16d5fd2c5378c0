import { type GetOptions, StorageError } from "./storage.ts";

export type Range = NonNullable<GetOptions["range"]>;

/** Refuses a range that is not made of whole, non-negative numbers. */
export function checkRange({ offset, length }: Range): void {
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0) return;
  throw new StorageError("invalid", `range ${offset}+${length} is not one of whole bytes`);
}

/** Refuses a range that reaches beyond the object: a short answer would look like a stream that ended early. */
export function checkRangeWithin(range: Range, sizeBytes: number): void {
  checkRange(range);
  if (range.offset + range.length > sizeBytes) throw beyondEnd(range, sizeBytes);
}

/** The error for a range that the object cannot fill. */
export const beyondEnd = ({ offset, length }: Range, sizeBytes?: number): StorageError =>
  new StorageError(
    "invalid",
    `range ${offset}+${length} reaches beyond the end of the object${sizeBytes === undefined ? "" : ` of ${sizeBytes} bytes`}`,
  );
