import { readSync } from "node:fs";

export type Segment = { offset: number; length: number };

/** Below this a hole is not worth reading the file twice for; compressing file systems report such all over. */
export const minSparseSavingBytes = 64 * 1024;

const pageBytes = 4096;
const windowBytes = 1024 * 1024;
const maxSegments = 65_536;

/**
 * Finds where a file holds data other than zeros, page by page. It yields now and then, so that the caller can let
 * other work happen during a long scan, and returns the segments; a hole at the end is closed by an empty segment.
 */
export function* scanSegments(fd: number, size: number): Generator<undefined, Segment[]> {
  const window = Buffer.allocUnsafeSlow(windowBytes);
  const zeros = Buffer.alloc(windowBytes);
  const granule = granuleFor(size);
  const segments: Segment[] = [];
  for (let offset = 0; offset < size; ) {
    const read = readSync(fd, window, 0, Math.min(windowBytes, size - offset), offset);
    if (read === 0) break;
    if (!window.subarray(0, read).equals(zeros.subarray(0, read)))
      addData(segments, window, zeros, read, offset, granule);
    offset += read;
    if (offset % (64 * windowBytes) === 0) yield;
  }
  const end = segments.at(-1);
  if (!end || end.offset + end.length < size) segments.push({ offset: size, length: 0 });
  return segments;
}

/** Larger steps for huge files bound the map: a file of many tiny islands must not fill memory. */
function granuleFor(size: number): number {
  let granule = pageBytes;
  while (size / granule > 2 * maxSegments && granule < windowBytes) granule *= 2;
  return granule;
}

function addData(
  segments: Segment[],
  window: Buffer,
  zeros: Buffer,
  length: number,
  offset: number,
  granule: number,
): void {
  for (let at = 0; at < length; at += granule) {
    const part = window.subarray(at, Math.min(at + granule, length));
    if (part.equals(zeros.subarray(0, part.length))) continue;
    const last = segments.at(-1);
    if (last && last.offset + last.length === offset + at) last.length += part.length;
    else segments.push({ offset: offset + at, length: part.length });
  }
}
