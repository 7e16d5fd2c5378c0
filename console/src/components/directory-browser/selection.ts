import { isBelow } from "./paths.ts";

/** What is chosen of a directory's entries; the caller keeps it. */
export type Selection = {
  paths: readonly string[];
  onChange(paths: string[]): void;
  /** Else both can be chosen. */
  only?: "directories" | "files";
  /** A choice replaces the one before. */
  single?: boolean;
};

type State = "chosen" | "included" | "partly" | "not";

/** `included`: with a directory above it; `partly`: something below it is chosen. */
export function stateOf({ paths, single }: Selection, path: string): State {
  if (paths.includes(path)) return "chosen";
  if (!single && paths.some((folder) => isBelow(path, folder))) return "included";
  return paths.some((chosen) => isBelow(chosen, path)) ? "partly" : "not";
}

/** Chooses a path, or takes it back. What lies below a chosen directory goes with it. */
export function toggle({ paths, onChange, single }: Selection, path: string): void {
  if (paths.includes(path)) return onChange(paths.filter((chosen) => chosen !== path));
  onChange(single ? [path] : [...paths.filter((chosen) => !isBelow(chosen, path)), path]);
}

export const canChoose = ({ only }: Selection, isDir: boolean): boolean =>
  only === undefined || (only === "directories") === isDir;
