import { constants } from "node:fs";

/** Flags that neither follow a link nor hang on a pipe that took the file's place since it was listed. */
export const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
