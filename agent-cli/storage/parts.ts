import type { AbortScope } from "./abortable.ts";

/** A piece of an object. Its bytes stay untouched until `release`, so that it can be sent again. */
export type Part = { number: number; bytes: Uint8Array; isLast: boolean; release(): void };

export type PartLimits = { maxInFlight: number; maxBytesInFlight: number };

/**
 * Cuts a stream into parts, the first of number 1. There is always a last part, empty only if the stream is empty.
 * Bytes are copied, so the source may use its chunks again. Released buffers are filled again, which keeps the
 * memory of a long upload flat instead of leaving it to the garbage collector.
 */
export async function* cutParts(
  source: AsyncIterable<Uint8Array>,
  sizeOf: (number: number) => number,
): AsyncGenerator<Part> {
  const free: Buffer[] = [];
  const take = (size: number): Buffer => {
    for (let buffer = free.pop(); buffer; buffer = free.pop()) if (buffer.length === size) return buffer;
    return Buffer.allocUnsafeSlow(size);
  };
  const part = (buffer: Buffer, length: number, number: number, isLast: boolean): Part => ({
    number,
    bytes: buffer.subarray(0, length),
    isLast,
    release: () => void free.push(buffer),
  });

  let number = 1;
  let buffer = take(sizeOf(number));
  let filled = 0;
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; ) {
      // A full part is given out only when a further byte is there, so that the last one is known to be the last.
      if (filled === buffer.length) {
        yield part(buffer, filled, number, false);
        number += 1;
        buffer = take(sizeOf(number));
        filled = 0;
      }
      const length = Math.min(chunk.length - offset, buffer.length - filled);
      buffer.set(chunk.subarray(offset, offset + length), filled);
      offset += length;
      filled += length;
    }
  }
  yield part(buffer, filled, number, true);
}

/** Parts again in a row, after the first was looked at to see whether there are more. */
export async function* joined(first: Part, rest: AsyncIterable<Part>): AsyncGenerator<Part> {
  yield first;
  yield* rest;
}

/**
 * Sends parts side by side and gives the answers in their order. It takes the next part only when the limits allow,
 * which holds back the source. The first failure aborts `scope`; it returns only when nothing is in flight any more.
 */
export async function sendParts<R>(
  parts: AsyncIterable<Part>,
  limits: PartLimits,
  scope: AbortScope,
  send: (part: Part) => Promise<R>,
): Promise<R[]> {
  const inFlight = new Set<Promise<void>>();
  const answers: R[] = [];
  let bytesInFlight = 0;

  const begin = (part: Part) => {
    bytesInFlight += part.bytes.length;
    const sending = send(part)
      .then((answer) => {
        answers[part.number - 1] = answer;
        part.release();
      }, scope.abort)
      .finally(() => {
        bytesInFlight -= part.bytes.length;
        inFlight.delete(sending);
      });
    inFlight.add(sending);
  };
  const mustWait = (part: Part) =>
    inFlight.size >= limits.maxInFlight ||
    (inFlight.size > 0 && bytesInFlight + part.bytes.length > limits.maxBytesInFlight);

  try {
    for await (const part of parts) {
      while (mustWait(part)) await Promise.race(inFlight);
      scope.signal.throwIfAborted();
      begin(part);
    }
  } catch (error) {
    scope.abort(error);
  }
  await Promise.all(inFlight);
  scope.signal.throwIfAborted();
  return answers;
}
