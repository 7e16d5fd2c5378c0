import { createHash } from "node:crypto";

/** What the fakes of SAP HANA take for a file of a data backup: some facts, a checksum, and the content. */
export function hanaBackupFile(database: string, volume: number, text: string): string {
  const content = `${volume} ${text}`.repeat(1000);
  const facts = [
    `DatabaseName: ${database}`,
    "SID: HDB",
    `size: ${content.length}`,
    `sum: ${sumOf(content)}`,
  ];
  return `${facts.join("\n")}\n\n${content}`;
}

/** The facts of such a file, line by line, and what is wrong with it; null when nothing is. */
export function readHanaBackupFile(bytes: string): { facts: string[]; fault: string | null } {
  const end = bytes.indexOf("\n\n");
  if (!bytes.startsWith("DatabaseName: ") || end < 0) return { facts: [], fault: "no backup header" };
  const facts = bytes.slice(0, end).split("\n");
  const content = bytes.slice(end + 2);
  const told = (name: string) => facts.find((fact) => fact.startsWith(`${name}: `))?.slice(name.length + 2);
  if (Number(told("size")) !== content.length) return { facts, fault: "unexpected end of the backup" };
  return { facts, fault: told("sum") === sumOf(content) ? null : "checksum of a page is wrong" };
}

const sumOf = (content: string): string => createHash("sha256").update(content).digest("hex");
