/** What goes over an agent's socket: the agent pings, the master rings. A ring only means: poll now. */
export const doorbellWords = { ping: "ping", pong: "pong", ring: "ring" } as const;

/** Why the master closes a socket. An agent reconnects after `moved`, and finds out by a call after `revoked`. */
export const doorbellClose = {
  /** A newer socket of the same node came. */
  replaced: 4000,
  /** Another object rings this node now. */
  moved: 4001,
  /** The node is gone, or its token is no longer valid. */
  revoked: 4003,
} as const;
