import endpoints from "virtual:endpoints";
import type { adminApi as Declared } from "../../../protocol/admin-api.ts";

/** The calls of people, as the contract declares them; here they carry no schemas, see endpoints-plugin.ts. */
export const adminApi = endpoints as unknown as typeof Declared;
