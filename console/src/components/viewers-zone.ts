/** The time zone that this browser's clock is in. */
export const viewersZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;
