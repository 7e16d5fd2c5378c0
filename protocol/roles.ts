import type { Role } from "./states.ts";

const rank: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether who has the one role may do what the other one is needed for. */
export const mayAs = (has: Role, needs: Role): boolean => rank[has] >= rank[needs];
