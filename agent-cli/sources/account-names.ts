import { readFileSync } from "node:fs";

export type AccountNames = { user(id: number): string | null; group(id: number): string | null };

/** User and group names of this machine, for tools that restore by name. A machine without the files has no names. */
export function readAccountNames(): AccountNames {
  const users = namesIn("/etc/passwd");
  const groups = namesIn("/etc/group");
  return { user: (id) => users.get(id) ?? null, group: (id) => groups.get(id) ?? null };
}

function namesIn(path: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of readLines(path)) {
    const [name, , id] = line.split(":");
    if (name && id && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}
