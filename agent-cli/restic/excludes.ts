import { dirname, resolve } from "node:path";
import { whyResticCannotExclude } from "../../protocol/restic-excludes.ts";
import { compileExcludes } from "../sources/excludes.ts";

/** A path as a pattern of restic that matches it alone. */
export const literally = (path: string): string => path.replace(/[\\*?[]/g, "\\$&");

/**
 * Exclude patterns of the agent in the words of restic, with the same meaning. restic matches a pattern anywhere in a
 * path, ours only below the paths that a task names; so those without a slash in front are bound to each of them.
 * Throws for a pattern that restic cannot express, and for one that would leave out a named path itself.
 */
export function resticExcludes(patterns: readonly string[], paths: readonly string[]): string[] {
  const roots = [...new Set(paths.map((path) => resolve(path)))];
  const rules = patterns.map((pattern) => pattern.trim()).filter((pattern) => pattern !== "");
  for (const rule of rules) refuseInexpressible(rule, roots);
  return rules.flatMap(alternatives).flatMap((rule) => {
    const glob = onlyBelow(rule);
    if (glob.startsWith("/")) return [glob];
    return roots.map((root) =>
      `${root === "/" ? "" : literally(root)}/**/${glob}`.replace(/(?:\/\*\*)+\//g, "/**/"),
    );
  });
}

function refuseInexpressible(rule: string, roots: readonly string[]): void {
  const reason = whyResticCannotExclude(rule);
  if (reason) throw new Error(`excludes: restic cannot leave out ${rule}: ${reason}`);
  const matches = compileExcludes([rule]);
  const isNested = (path: string) => roots.some((root) => root !== path && isBelow(path, root));
  const suspects = (root: string) =>
    rule.startsWith("/") ? [root, ...ancestorsOf(root)] : isNested(root) ? [root] : [];
  const lost = roots.find((root) => suspects(root).some((path) => matches?.(path, true)));
  if (lost) {
    throw new Error(
      `excludes: ${rule} would make restic leave out ${lost}, which the task names: make it more exact`,
    );
  }
}

const isBelow = (path: string, directory: string) =>
  path.startsWith(directory === "/" ? "/" : `${directory}/`);

function ancestorsOf(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...ancestorsOf(parent)];
}

/** `dir/**` leaves the directory itself in, which in restic's patterns is `dir/*`. */
const onlyBelow = (rule: string): string => (rule === "**" ? "*" : rule.replace(/\/\*\*$/, "/*"));

/** A pattern with `{a,b}`, which restic does not know, as one for each of its alternatives. */
function alternatives(rule: string): string[] {
  const [, before, inner, after] = /^(.*?)(?<!\\)\{([^{}]*,[^{}]*)\}(.*)$/s.exec(rule) ?? [];
  if (before === undefined || inner === undefined || after === undefined) return [rule];
  return inner.split(",").flatMap((one) => alternatives(`${before}${one}${after}`));
}
