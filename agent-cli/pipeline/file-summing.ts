import { crc32 } from "node:zlib";
import xxhash from "xxhash-wasm";
import { type FileSum, isXxh64, sumFromBits, xxh64From } from "./file-sum.ts";

const { h64Raw, create64 } = await xxhash();

/** What is summed at once: the library copies it into its own memory first, which is to stay in the processor's cache. */
const pieceBytes = 256 * 1024;

const sumFromHash = (hash: bigint): FileSum => sumFromBits(Number(BigInt.asUintN(32, hash)), true);

/** The sum of content that is at hand as a whole, made in the way that `like` was: a new sum is made by XXH64. */
export function sumOf(content: Uint8Array, like: FileSum = xxh64From): FileSum {
  if (isXxh64(like) && content.length <= pieceBytes) return sumFromHash(h64Raw(content));
  const summing = new FileSumming(like);
  summing.add(content);
  return summing.sum();
}

/** The same of content that comes piece by piece. */
export class FileSumming {
  readonly #xxh64: ReturnType<typeof create64> | null;
  #crc32 = 0;

  constructor(like: FileSum = xxh64From) {
    this.#xxh64 = isXxh64(like) ? create64() : null;
  }

  add(bytes: Uint8Array): void {
    if (this.#xxh64 === null) {
      this.#crc32 = crc32(bytes, this.#crc32);
      return;
    }
    for (let at = 0; at < bytes.length; at += pieceBytes)
      this.#xxh64.update(bytes.subarray(at, at + pieceBytes));
  }

  sum(): FileSum {
    return this.#xxh64 === null ? this.#crc32 : sumFromHash(this.#xxh64.digest());
  }
}
