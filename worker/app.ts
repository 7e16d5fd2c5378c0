import { type App, newApp } from "./http.ts";
import { mountApiKeyRoutes } from "./routes/admin/api-keys.ts";
import { mountAuditRoutes } from "./routes/admin/audit.ts";
import { mountNotificationRoutes } from "./routes/admin/notifications.ts";
import { mountUserRoutes } from "./routes/admin/users.ts";
import { mountAuthRoutes } from "./routes/auth.ts";
import { mountPublicRoutes } from "./routes/public.ts";

/** The whole master: every call of `protocol/`, mounted. */
export function makeApp(): App {
  const app = newApp();
  mountPublicRoutes(app);
  mountAuthRoutes(app);
  mountUserRoutes(app);
  mountApiKeyRoutes(app);
  mountAuditRoutes(app);
  mountNotificationRoutes(app);
  return app;
}
