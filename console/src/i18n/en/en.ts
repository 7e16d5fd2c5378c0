import { account } from "./account.ts";
import { apiKeys } from "./api-keys.ts";
import { audit } from "./audit.ts";
import { auditActions } from "./audit-actions.ts";
import { commands } from "./commands.ts";
import { common } from "./common.ts";
import { dashboard } from "./dashboard.ts";
import { directories } from "./directories.ts";
import { live } from "./live.ts";
import { log } from "./log.ts";
import { nav } from "./nav.ts";
import { nodes } from "./nodes.ts";
import { notFound } from "./not-found.ts";
import { notices } from "./notices.ts";
import { palette } from "./palette.ts";
import { progress } from "./progress.ts";
import { record } from "./record.ts";
import { records } from "./records.ts";
import { restores } from "./restores.ts";
import { roles } from "./roles.ts";
import { schedule } from "./schedule.ts";
import { settings } from "./settings.ts";
import { sources } from "./sources.ts";
import { states } from "./states.ts";
import { targetKinds } from "./target-kinds.ts";
import { targets } from "./targets.ts";
import { taskEditor } from "./task-editor.ts";
import { taskPage } from "./task-page.ts";
import { tasks } from "./tasks.ts";
import { users } from "./users.ts";
import { verifications } from "./verifications.ts";
import { welcome } from "./welcome.ts";
import { wizard } from "./wizard.ts";

/** Every text of the console in English, a file for each page; `zh/` holds the same keys. */
export const en = {
  account,
  apiKeys,
  audit,
  auditActions,
  commands,
  common,
  dashboard,
  directories,
  live,
  log,
  nav,
  nodes,
  notFound,
  notices,
  palette,
  progress,
  record,
  records,
  restores,
  roles,
  schedule,
  settings,
  sources,
  states,
  targetKinds,
  targets,
  taskEditor,
  taskPage,
  tasks,
  users,
  verifications,
  welcome,
  wizard,
};
