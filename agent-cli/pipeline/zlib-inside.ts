/** What zlib's stream objects have inside. It is no promise of Node's, so each use is checked. */
export type ZlibInside = {
  _handle?: {
    writeSync?: (
      flush: number,
      input: Uint8Array,
      inputAt: number,
      inputBytes: number,
      output: Uint8Array,
      outputAt: number,
      outputBytes: number,
    ) => void;
  };
  _writeState?: Uint32Array;
};
