import { type MissingProgram, maxMissingProgramChars } from "../protocol/objects.ts";
import type { Config } from "./config.ts";
import { whyItCannotBeStarted } from "./sources/find-program.ts";

/** Programs that the configuration names for its commands and hooks and that this user cannot start now. */
export const missingPrograms = ({
  commands,
  hooks,
}: Pick<Config, "commands" | "hooks">): MissingProgram[] => [
  ...Object.entries(commands).flatMap(([name, { run, restore, verify }]) => [
    ...missing(`commands.${name}.run`, run),
    ...missing(`commands.${name}.restore`, restore ?? []),
    ...missing(`commands.${name}.verify`, verify?.run ?? []),
  ]),
  ...Object.entries(hooks).flatMap(([name, { run }]) => missing(`hooks.${name}.run`, run)),
];

function missing(at: string, [program]: string[]): MissingProgram[] {
  const problem = program === undefined ? null : whyItCannotBeStarted(program);
  if (program === undefined || problem === null) return [];
  return [{ at, program: program.slice(0, maxMissingProgramChars), problem }];
}
