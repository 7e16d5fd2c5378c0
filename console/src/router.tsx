import { createBrowserRouter } from "react-router";
import { NotFound } from "./pages/not-found.tsx";
import { Shell } from "./shell/shell.tsx";

/** Each page is loaded when it is first gone to. */
export const router = createBrowserRouter([
  {
    Component: Shell,
    HydrateFallback: () => null,
    children: [
      { index: true, lazy: async () => ({ Component: (await import("./pages/dashboard.tsx")).Dashboard }) },
      { path: "users", lazy: async () => ({ Component: (await import("./pages/users.tsx")).Users }) },
      { path: "api-keys", lazy: async () => ({ Component: (await import("./pages/api-keys.tsx")).ApiKeys }) },
      { path: "audit", lazy: async () => ({ Component: (await import("./pages/audit.tsx")).Audit }) },
      {
        path: "settings",
        lazy: async () => ({ Component: (await import("./pages/settings.tsx")).Settings }),
      },
      { path: "profile", lazy: async () => ({ Component: (await import("./pages/account.tsx")).Account }) },
      { path: "nodes", lazy: async () => ({ Component: (await import("./pages/nodes.tsx")).Nodes }) },
      {
        path: "nodes/new",
        lazy: async () => ({ Component: (await import("./pages/node-new.tsx")).NewNode }),
      },
      { path: "nodes/:id", lazy: async () => ({ Component: (await import("./pages/node.tsx")).NodePage }) },
      {
        path: "commands",
        lazy: async () => ({ Component: (await import("./pages/commands.tsx")).Commands }),
      },
      { path: "tasks", lazy: async () => ({ Component: (await import("./pages/tasks.tsx")).Tasks }) },
      {
        path: "tasks/new",
        lazy: async () => ({ Component: (await import("./pages/tasks/editor.tsx")).NewTask }),
      },
      {
        path: "tasks/:id/edit",
        lazy: async () => ({ Component: (await import("./pages/tasks/editor.tsx")).EditTask }),
      },
      {
        path: "tasks/:id",
        lazy: async () => ({ Component: (await import("./pages/tasks/task-page.tsx")).TaskPage }),
      },
      { path: "records", lazy: async () => ({ Component: (await import("./pages/records.tsx")).Records }) },
      {
        path: "records/:id",
        lazy: async () => ({ Component: (await import("./pages/record.tsx")).RecordPage }),
      },
      {
        path: "records/:id/restore",
        lazy: async () => ({ Component: (await import("./pages/restore-wizard.tsx")).RestoreWizard }),
      },
      {
        path: "restores/:id",
        lazy: async () => ({ Component: (await import("./pages/restore.tsx")).RestorePage }),
      },
      {
        path: "verifications/:id",
        lazy: async () => ({ Component: (await import("./pages/verification.tsx")).VerificationPage }),
      },
      {
        path: "restores",
        lazy: async () => ({ Component: (await import("./pages/restores.tsx")).Restores }),
      },
      {
        path: "verifications",
        lazy: async () => ({ Component: (await import("./pages/verifications.tsx")).Verifications }),
      },
      { path: "targets", lazy: async () => ({ Component: (await import("./pages/targets.tsx")).Targets }) },
      {
        path: "targets/new",
        lazy: async () => ({ Component: (await import("./pages/targets/editor.tsx")).NewTarget }),
      },
      {
        path: "targets/:id",
        lazy: async () => ({ Component: (await import("./pages/targets/page.tsx")).TargetPage }),
      },
      {
        path: "targets/:id/edit",
        lazy: async () => ({ Component: (await import("./pages/targets/editor.tsx")).EditTarget }),
      },
      { path: "*", Component: NotFound },
    ],
  },
]);
