import type { objects } from "../../protocol/index.ts";

/** The first port of instance 00, that of its system database; each further instance is 100 higher. */
const SAPHANA_PORT = 30_013;

/** The port to connect to, also where the source leaves it to an instance's number. */
export const portOf = (server: objects.DatabaseServer): number =>
  server.type === "saphana" ? (server.port ?? SAPHANA_PORT + 100 * Number(server.instance)) : server.port;
