import { type App, newApp } from "./http.ts";
import { mountApiKeyRoutes } from "./routes/admin/api-keys.ts";
import { mountAuditRoutes } from "./routes/admin/audit.ts";
import { mountCommandRoutes } from "./routes/admin/commands.ts";
import { mountNodeRoutes } from "./routes/admin/nodes.ts";
import { mountNotificationRoutes } from "./routes/admin/notifications.ts";
import { mountOverviewRoutes } from "./routes/admin/overview.ts";
import { mountRecordRoutes } from "./routes/admin/records.ts";
import { mountRestoreRoutes } from "./routes/admin/restores.ts";
import { mountScheduleRoutes } from "./routes/admin/schedules.ts";
import { mountSettingsRoutes } from "./routes/admin/settings.ts";
import { mountTargetRoutes } from "./routes/admin/targets.ts";
import { mountTaskRoutes } from "./routes/admin/tasks.ts";
import { mountUserRoutes } from "./routes/admin/users.ts";
import { mountVerificationRoutes } from "./routes/admin/verifications.ts";
import { mountAgentRoutes } from "./routes/agent.ts";
import { mountAuthRoutes } from "./routes/auth.ts";
import { mountDoorbellRoutes } from "./routes/doorbell.ts";
import { mountEnrollRoutes } from "./routes/enroll.ts";
import { mountLiveRoutes } from "./routes/live.ts";
import { mountPublicRoutes } from "./routes/public.ts";
import { mountVaultRoutes } from "./routes/vault.ts";

/** The whole master: every call of `protocol/`, mounted. */
export function makeApp(): App {
  const app = newApp();
  mountPublicRoutes(app);
  mountAuthRoutes(app);
  mountUserRoutes(app);
  mountApiKeyRoutes(app);
  mountAuditRoutes(app);
  mountSettingsRoutes(app);
  mountNotificationRoutes(app);
  mountLiveRoutes(app);
  mountDoorbellRoutes(app);
  mountAgentRoutes(app);
  mountVaultRoutes(app);
  mountOverviewRoutes(app);
  mountRecordRoutes(app);
  mountRestoreRoutes(app);
  mountVerificationRoutes(app);
  mountCommandRoutes(app);
  mountNodeRoutes(app);
  mountTargetRoutes(app);
  mountTaskRoutes(app);
  mountEnrollRoutes(app);
  mountScheduleRoutes(app);
  return app;
}
