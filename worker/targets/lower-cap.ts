/** The lower of two bandwidth caps, in bytes per second; null is none. */
export const lowerCap = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);
