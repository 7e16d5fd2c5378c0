import { constants } from "node:fs";

/** Opens a file to read it, but follows no link and does not wait at a pipe for its writer: either may have come in its place. */
export const openFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
