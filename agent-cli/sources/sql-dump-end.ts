const tailBytes = 512;
const trailer = "-- Dump completed";

/** Keeps the end of a dump, which says whether the program that made it came to its end. */
export class DumpEnd {
  #tail: Buffer = Buffer.alloc(0);

  add(bytes: Uint8Array): void {
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(-tailBytes)]).subarray(-tailBytes);
  }

  get isComplete(): boolean {
    return this.#tail.includes(trailer);
  }
}

/** Passes a dump on; throws at its end when it is cut off. */
export async function* endsAsDump(dump: AsyncIterable<Buffer>, database: string): AsyncGenerator<Buffer> {
  const end = new DumpEnd();
  for await (const chunk of dump) {
    end.add(chunk);
    yield chunk;
  }
  if (!end.isComplete) throw new Error(`the dump of database ${database} was cut off before its end`);
}
