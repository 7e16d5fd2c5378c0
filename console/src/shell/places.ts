import {
  type Icon,
  IconArchive,
  IconDatabase,
  IconGauge,
  IconHistory,
  IconListCheck,
  IconRotateClockwise,
  IconServer,
  IconTerminal2,
  IconUsers,
} from "@tabler/icons-react";
import type { Role } from "../../../protocol/states.ts";
import type { en } from "../i18n/en/en.ts";

type Place = { path: string; label: `nav.${keyof (typeof en)["nav"]}`; icon: Icon; role: Role };

/** The pages that one goes to from anywhere, and who sees them. */
export const places: Place[] = [
  { path: "/", label: "nav.dashboard", icon: IconGauge, role: "viewer" },
  { path: "/nodes", label: "nav.nodes", icon: IconServer, role: "viewer" },
  { path: "/tasks", label: "nav.tasks", icon: IconListCheck, role: "viewer" },
  { path: "/records", label: "nav.records", icon: IconArchive, role: "viewer" },
  { path: "/restores", label: "nav.restores", icon: IconRotateClockwise, role: "viewer" },
  { path: "/targets", label: "nav.targets", icon: IconDatabase, role: "viewer" },
  { path: "/commands", label: "nav.commands", icon: IconTerminal2, role: "operator" },
  { path: "/audit", label: "nav.audit", icon: IconHistory, role: "admin" },
  { path: "/users", label: "nav.users", icon: IconUsers, role: "admin" },
];
