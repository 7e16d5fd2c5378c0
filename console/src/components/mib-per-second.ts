const MIB = 1024 ** 2;

/** A bandwidth as people type it, in MiB per second; "" stands for no cap. */
export const inMiB = (bytesPerSecond: number | null): number | "" =>
  bytesPerSecond === null ? "" : bytesPerSecond / MIB;

/** The same as the API takes it, in bytes per second. */
export const inBytes = (mibPerSecond: number | string): number | null =>
  mibPerSecond === "" ? null : Math.round(Number(mibPerSecond) * MIB);
