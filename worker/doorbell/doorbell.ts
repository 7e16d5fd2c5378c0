import { DurableObject } from "cloudflare:workers";

/** Holds the agents' hibernating sockets and rings them. It knows no database and keeps no timer. */
export class Doorbell extends DurableObject<Env> {}
