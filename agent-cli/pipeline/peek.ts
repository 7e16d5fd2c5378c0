/** The first bytes of a stream, at least as many as asked for unless it is shorter, and the whole stream with them. */
export async function peek(
  content: AsyncIterable<Uint8Array>,
  wantedBytes: number,
): Promise<{ start: Buffer; all: AsyncIterable<Uint8Array> }> {
  const chunks = content[Symbol.asyncIterator]();
  const read: Uint8Array[] = [];
  for (let bytes = 0; bytes < wantedBytes; ) {
    const { done, value } = await chunks.next();
    if (done) break;
    read.push(value);
    bytes += value.length;
  }
  async function* all() {
    try {
      yield* read;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    } finally {
      await chunks.return?.();
    }
  }
  return { start: Buffer.concat(read), all: all() };
}
