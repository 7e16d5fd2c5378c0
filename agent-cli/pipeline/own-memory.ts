/**
 * The memory that bytes lie in, if it is theirs alone. Node keeps a pool for small buffers, which nobody may free or hand to
 * another thread; how large it is differs between releases (8 or 64 KiB).
 */
export function ownMemory({ buffer, length }: Uint8Array): ArrayBuffer | null {
  if (!(buffer instanceof ArrayBuffer)) return null;
  const mayBePool = buffer.byteLength === Buffer.poolSize && length < buffer.byteLength;
  return mayBePool ? null : buffer;
}

/** Gives memory back at once. The collector, which sees a small object, would let some 60 MiB of it pile up first. */
export function release(bytes: Uint8Array): void {
  ownMemory(bytes)?.transfer(0);
}
