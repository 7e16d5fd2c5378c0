import picomatch from "picomatch";

export type Excludes = (absolutePath: string, isDirectory: boolean) => boolean;

/**
 * Turns exclude patterns into one test of absolute paths. The rules, close to those of tar and rsync:
 *
 * - `*` and `?` match within a name, `**` across directories, `{a,b}` and `[a-z]` work, a leading dot is nothing special;
 * - a pattern without a slash matches a base name anywhere: `*.log`, `node_modules`;
 * - a pattern that begins with a slash matches from the root: `/var/cache/**`;
 * - any other pattern matches the end of a path: `app/cache` matches `/srv/app/cache` and `/home/x/app/cache`;
 * - a slash at the end makes it match directories only;
 * - a directory that matches is left out with everything below it; `dir/**` leaves out only what is below.
 *
 * The paths that a task names are never excluded themselves, only what is found below them.
 */
export function compileExcludes(patterns: readonly string[]): Excludes | null {
  const rules = patterns.map((pattern) => pattern.trim()).filter((pattern) => pattern !== "");
  if (rules.length === 0) return null;
  const any = rules.filter((rule) => !rule.endsWith("/")).map(toGlob);
  const directories = rules
    .filter((rule) => rule.endsWith("/"))
    .map((rule) => toGlob(rule.replace(/\/+$/, "")));
  const matchesAny = compile(any);
  const matchesDirectory = compile([...any, ...directories]);
  return (path, isDirectory) => (isDirectory ? matchesDirectory : matchesAny)(path);
}

function toGlob(rule: string): string {
  const glob = rule.startsWith("/") ? rule : `/**/${rule}`;
  return glob.endsWith("/**") ? `${glob}/*` : glob;
}

function compile(globs: string[]): (path: string) => boolean {
  // Names may hold newlines, which "." does not match without the flag.
  return picomatch(globs, { dot: true, nonegate: true, flags: "s" });
}
