import { type App, newApp } from "./http.ts";
import { mountPublicRoutes } from "./routes/public.ts";

/** The whole master: every call of `protocol/`, mounted. */
export function makeApp(): App {
  const app = newApp();
  mountPublicRoutes(app);
  return app;
}
