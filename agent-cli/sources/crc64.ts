/** CRC-64 of ECMA-182 as xz and MongoDB's tools compute it: bits reflected, begun and ended with all of them inverted. */
const polynomial = { low: 0xd7870f42, high: 0xc96c5795 };

/** Eight bytes are taken at once, each by a table of its own: a 64-bit integer of JavaScript would be far slower. */
const tableCount = 8;
const { lows, highs } = makeTables();

export class Crc64 {
  #low = -1;
  #high = -1;

  add(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    let at = 0;
    for (const end = bytes.length - 7; at < end; at += 8) {
      const first =
        low ^
        (byte(bytes, at) |
          (byte(bytes, at + 1) << 8) |
          (byte(bytes, at + 2) << 16) |
          (byte(bytes, at + 3) << 24));
      const second =
        high ^
        (byte(bytes, at + 4) |
          (byte(bytes, at + 5) << 8) |
          (byte(bytes, at + 6) << 16) |
          (byte(bytes, at + 7) << 24));
      low = mixed(lows, first, second);
      high = mixed(highs, first, second);
    }
    for (; at < bytes.length; at += 1) {
      const index = (low ^ byte(bytes, at)) & 0xff;
      low = entry(lows, index) ^ ((low >>> 8) | (high << 24));
      high = entry(highs, index) ^ (high >>> 8);
    }
    this.#low = low;
    this.#high = high;
  }

  /** Of all that was added so far. */
  get value(): bigint {
    return (BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0);
  }
}

const byte = (bytes: Uint8Array, at: number): number => bytes[at] as number;

/** A declaration, for the tables are made with it before anything below them is. */
function entry(table: Int32Array, at: number): number {
  return table[at] as number;
}

/** The byte that comes first has the most zeros behind it, so its table is the last one. */
const mixed = (table: Int32Array, first: number, second: number): number =>
  entry(table, 0x700 | (first & 0xff)) ^
  entry(table, 0x600 | ((first >>> 8) & 0xff)) ^
  entry(table, 0x500 | ((first >>> 16) & 0xff)) ^
  entry(table, 0x400 | (first >>> 24)) ^
  entry(table, 0x300 | (second & 0xff)) ^
  entry(table, 0x200 | ((second >>> 8) & 0xff)) ^
  entry(table, 0x100 | ((second >>> 16) & 0xff)) ^
  entry(table, second >>> 24);

/** Of each byte, the checksum of it and of so many zeros behind it as its table's number says. */
function makeTables(): { lows: Int32Array; highs: Int32Array } {
  const lows = new Int32Array(tableCount * 256);
  const highs = new Int32Array(tableCount * 256);
  for (let i = 0; i < 256; i += 1) {
    let [low, high] = [i, 0];
    for (let bit = 0; bit < 8; bit += 1) {
      const isOdd = (low & 1) === 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (isOdd) [low, high] = [low ^ polynomial.low, high ^ polynomial.high];
    }
    [lows[i], highs[i]] = [low, high];
  }
  for (let i = 256; i < lows.length; i += 1) {
    const [low, high] = [entry(lows, i - 256), entry(highs, i - 256)];
    lows[i] = entry(lows, low & 0xff) ^ ((low >>> 8) | (high << 24));
    highs[i] = entry(highs, low & 0xff) ^ (high >>> 8);
  }
  return { lows, highs };
}
