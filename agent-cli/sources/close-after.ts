/** The same bytes; what they come from is closed when they have ended, broken or been given up. */
export async function* closeAfter<T>(
  bytes: AsyncIterable<T>,
  from: { close(): Promise<void> },
): AsyncGenerator<T> {
  try {
    yield* bytes;
  } finally {
    await from.close();
  }
}
