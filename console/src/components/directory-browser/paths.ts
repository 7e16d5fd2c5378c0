/** A path of a node, Unix or Windows, cut into the directories above it: each with its name and where it is. */
export function crumbsOf(path: string): { name: string; path: string }[] {
  const drive = /^([A-Za-z]:)[\\/]?(.*)$/.exec(path);
  const [first, rest, separator] = drive ? [`${drive[1]}\\`, drive[2] ?? "", "\\"] : ["/", path, "/"];
  const crumbs = [{ name: first, path: first }];
  for (const name of rest.split(drive ? /[\\/]/ : "/").filter(Boolean)) {
    const above = crumbs.at(-1)?.path ?? first;
    crumbs.push({ name, path: above.endsWith(separator) ? above + name : above + separator + name });
  }
  return crumbs;
}

/** Null for the top. */
export const parentOf = (path: string): string | null => crumbsOf(path).at(-2)?.path ?? null;

export const isAbsolute = (text: string): boolean => text.startsWith("/") || /^[A-Za-z]:[\\/]/.test(text);

/** Whether `path` lies somewhere below `folder`; not when it is the folder itself. */
export function isBelow(path: string, folder: string): boolean {
  const separator = /^[A-Za-z]:/.test(folder) ? "\\" : "/";
  return path !== folder && path.startsWith(folder.endsWith(separator) ? folder : folder + separator);
}
