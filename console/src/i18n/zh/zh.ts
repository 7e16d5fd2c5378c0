import type { Messages } from "../i18n.ts";
import { common } from "./common.ts";
import { nav } from "./nav.ts";
import { nodes } from "./nodes.ts";
import { notFound } from "./not-found.ts";
import { welcome } from "./welcome.ts";

export const zh: Messages = { common, welcome, nav, nodes, notFound };
