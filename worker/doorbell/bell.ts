/** A node and its last sign of life. */
export type Sign = { id: number; lastSeen: number };

/** What one shard knows that the database may not. `version` is null when there is nothing to tell. */
export type Census = { shard: number; version: string | null; arrived: Sign[]; gone: Sign[] };

/** What verbs know of the Doorbell. Everything stays correct when a call of it fails: agents also poll. */
export type Bell = {
  /** Wakes these nodes' agents, best effort; call it after the rows are committed. Never throws. */
  ring(nodeIds: number[]): Promise<void>;
  /** Closes the sockets of nodes that may no longer have one. Never throws. */
  kick(nodeIds: number[]): Promise<void>;
  /** Last sign of life of those of these nodes whose socket is open, by id. Empty when the Doorbell is away. */
  lastSeen(nodeIds: number[]): Promise<Map<number, number>>;
  /**
   * Who came and who went since the last acknowledged census, per shard that answered. The same again until it is
   * acknowledged, and for a minute after, so applying one must change nothing the second time. Never throws.
   */
  census(): Promise<Census[]>;
  /** Says that the database holds this census now; one that a newer census has overtaken is ignored. Never throws. */
  acknowledge(census: Census): Promise<void>;
  /** Names nodes that the database takes for connected, so that a census tells of those that are not. Never throws. */
  expect(nodeIds: number[]): Promise<void>;
  /** Hands an agent's upgrade request on to its shard; the answer holds the socket. Throws when it is away. */
  open(nodeId: number, request: Request): Promise<Response>;
};
