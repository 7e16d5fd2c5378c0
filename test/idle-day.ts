/**
 * A day of an agent that has nothing to do, with its socket up but for a few reconnects. test/agent/idle-day.test.ts
 * holds the agent's own loops to these requests, test/worker/budgets.test.ts counts the rows that such requests cost.
 */
export const idleDay = {
  reconnects: 4,
  /** At most this many requests of each kind in a day. */
  atMost: { poll: 150, heartbeat: 16, doorbell: 6 },
  /** The most that happens between the loss of a socket and its return half a minute later. */
  perReconnect: { poll: 8, heartbeat: 3 },
  budget: { requests: 300, rowsWritten: 100 },
} as const;
