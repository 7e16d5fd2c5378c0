export { adminApi } from "./admin-api.ts";
export { agentApi, type DeliveredCommand, type Order } from "./agent-api.ts";
export * from "./doorbell.ts";
export * from "./endpoint.ts";
export * from "./errors.ts";
export * as objects from "./objects.ts";
export * as states from "./states.ts";
export { protocolRange, timing } from "./states.ts";
export * as verification from "./verification.ts";
