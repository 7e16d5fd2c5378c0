/** How zlib's stream objects take one piece of input inside, at once or on another thread. */
export type ZlibWrite = (
  flush: number,
  input: Uint8Array,
  inputAt: number,
  inputBytes: number,
  output: Uint8Array,
  outputAt: number,
  outputBytes: number,
) => void;

/** What zlib's stream objects have inside. It is no promise of Node's, so each use is checked. */
export type ZlibInside = {
  _handle?: { writeSync?: ZlibWrite };
  _writeState?: Uint32Array;
};
