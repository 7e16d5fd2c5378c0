import type { Plugin } from "vite";
import { adminApi } from "../protocol/admin-api.ts";

const name = "virtual:endpoints";

/**
 * The master's calls for the browser: of each endpoint its method and path. The schemas stay behind, with the library
 * that they are written in: the browser needs their types alone, and it would be a third of all that it loads.
 */
export const endpoints = (): Plugin => ({
  name: "endpoints",
  resolveId: (id) => (id === name ? `\0${name}` : null),
  load(id) {
    if (id !== `\0${name}`) return null;
    const calls = Object.entries(adminApi).map(([call, { method, path }]) => [call, { method, path }]);
    return `export default ${JSON.stringify(Object.fromEntries(calls))};`;
  },
});
