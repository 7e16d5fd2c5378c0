import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { bitsOf, sumFromBits } from "../../agent-cli/pipeline/file-sum.ts";
import { FileSumming, sumOf } from "../../agent-cli/pipeline/file-summing.ts";

const byCrc32 = sumFromBits(0, false);

test("a sum is the lower half of XXH64 with the seed 0, as its specification and every other program has it", () => {
  expect(bitsOf(sumOf(Buffer.alloc(0))).toString(16)).toBe("51d8e999");
  expect(bitsOf(sumOf(Buffer.from("abc"))).toString(16)).toBe("ad770999");
});

test("content that comes in pieces has the sum of the whole, however it is cut", () => {
  const content = randomBytes(1_200_000);
  for (const like of [undefined, byCrc32]) {
    for (const cut of [1, 31, 262_144, 262_145, 700_000]) {
      const summing = new FileSumming(like);
      summing.add(content.subarray(0, cut));
      summing.add(content.subarray(cut, cut));
      summing.add(content.subarray(cut));
      expect(summing.sum(), `cut at ${cut}`).toBe(sumOf(content, like));
    }
  }
});

test("what an older agent has summed is compared by its CRC-32, and is like no XXH64", () => {
  const content = Buffer.from("content");
  expect(sumOf(content, byCrc32)).toBe(crc32(content));
  expect(sumFromBits(bitsOf(sumOf(content)), false)).not.toBe(sumOf(content));
});
