export const DAY_MS = 86_400_000;

/** Days of UTC since 1970, by which ends are counted. */
export const dayOf = (at: number): number => Math.floor(at / DAY_MS);
