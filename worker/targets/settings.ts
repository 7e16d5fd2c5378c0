import { objects, type states } from "../../protocol/index.ts";
import { parseSettings } from "../secrets/parse-settings.ts";

type Settings = Record<string, unknown>;

/** A target's settings checked by its type. */
export const parseConfig = (type: states.TargetType, config: Settings): Settings =>
  parseSettings(objects.targetSettings[type].config, config, "config");

/** The same for what is to be sealed. */
export const parseSecrets = (type: states.TargetType, secrets: Settings): Settings =>
  parseSettings(objects.targetSettings[type].secrets, secrets, "secrets");
