/** What verbs know of the Doorbell. Everything stays correct when a call of it fails: agents also poll. */
export type Bell = {
  /** Wakes these nodes' agents, best effort; call it after the rows are committed. Never throws. */
  ring(nodeIds: number[]): Promise<void>;
  /** Closes the sockets of nodes that may no longer have one. Never throws. */
  kick(nodeIds: number[]): Promise<void>;
  /** Last sign of life of those of these nodes whose socket is open, by id. Empty when the Doorbell is away. */
  lastSeen(nodeIds: number[]): Promise<Map<number, number>>;
};
