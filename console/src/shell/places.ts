import {
  type Icon,
  IconArchive,
  IconDatabase,
  IconGauge,
  IconHistory,
  IconKey,
  IconListCheck,
  IconRotateClockwise,
  IconServer,
  IconSettings,
  IconShieldCheck,
  IconTerminal2,
  IconUsers,
} from "@tabler/icons-react";
import type { Role } from "../../../protocol/states.ts";
import type { en } from "../i18n/en/en.ts";

type Word = `nav.${keyof (typeof en)["nav"]}`;
export type Place = { path: string; label: Word; icon: Icon; role: Role };
type PlaceGroup = { label: Word | null; places: Place[] };

/** The pages that one goes to from anywhere, in groups, and who sees them. */
export const placeGroups: PlaceGroup[] = [
  {
    label: null,
    places: [{ path: "/", label: "nav.dashboard", icon: IconGauge, role: "viewer" }],
  },
  {
    label: "nav.backups",
    places: [
      { path: "/tasks", label: "nav.tasks", icon: IconListCheck, role: "viewer" },
      { path: "/records", label: "nav.records", icon: IconArchive, role: "viewer" },
      { path: "/restores", label: "nav.restores", icon: IconRotateClockwise, role: "viewer" },
      { path: "/verifications", label: "nav.verifications", icon: IconShieldCheck, role: "viewer" },
    ],
  },
  {
    label: "nav.infrastructure",
    places: [
      { path: "/nodes", label: "nav.nodes", icon: IconServer, role: "viewer" },
      { path: "/targets", label: "nav.targets", icon: IconDatabase, role: "viewer" },
      { path: "/commands", label: "nav.commands", icon: IconTerminal2, role: "operator" },
    ],
  },
  {
    label: "nav.administration",
    places: [
      { path: "/users", label: "nav.users", icon: IconUsers, role: "admin" },
      { path: "/api-keys", label: "nav.apiKeys", icon: IconKey, role: "admin" },
      { path: "/audit", label: "nav.audit", icon: IconHistory, role: "admin" },
      { path: "/settings", label: "nav.settings", icon: IconSettings, role: "viewer" },
    ],
  },
];

export const places = placeGroups.flatMap((group) => group.places);
