import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { adminApi, agentApi, type Endpoint } from "../../protocol/index.ts";

const root = path.resolve(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const documents = [
  "README.md",
  "README.zh-CN.md",
  "agent-cli/README.md",
  ...globSync("docs/*.md", { cwd: root }),
];
const program = path.join(root, "agent-cli/main.ts");

const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? "");
const codeBlocks = (text: string) => text.match(/^```[\s\S]*?^```$/gm) ?? [];
const withoutBlocks = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, "");
const headings = (text: string) => matches(withoutBlocks(text), /^(#+) /gm);
/** As the web page names the place of a heading, near enough for ours. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} -]/gu, "")
    .replaceAll(" ", "-");

describe.each(documents)("%s", (file) => {
  const text = read(file);

  it("links to what exists", () => {
    const anchors = matches(withoutBlocks(text), /^#+ (.+)$/gm).map(anchorOf);
    const dead = [...matches(text, /\]\(([^)\s]+)\)/g), ...matches(text, /\bsrc(?:set)?="([^"]+)"/g)]
      .filter((link) => !/^https?:/.test(link))
      .filter((link) =>
        link.startsWith("#")
          ? !anchors.includes(link.slice(1))
          : !existsSync(path.join(root, path.dirname(file), link.replace(/#.*/, ""))),
      );
    expect(dead).toEqual([]);
  });

  it("names paths that exist", () => {
    expect(pathsIn(file, text).filter((named) => !exists(file, named))).toEqual([]);
  });

  it("names npm scripts that exist", () => {
    const scripts = Object.keys(JSON.parse(read("package.json")).scripts);
    const named = [...matches(text, /\bnpm run ([a-z][\w:-]*)/g), ...matches(text, /\bnpm (start|test)\b/g)];
    expect(named.filter((script) => !scripts.includes(script))).toEqual([]);
  });

  it("names calls that the master answers", () => {
    expect(callsIn(text).filter((call) => !isAnswered(call))).toEqual([]);
  });
});

describe("the README in two languages", () => {
  const [english, chinese] = [read("README.md"), read("README.zh-CN.md")];

  it("has the same headings", () => expect(headings(chinese)).toEqual(headings(english)));

  it("has the same code, but for comments", () => {
    const code = (text: string) => codeBlocks(text).map(withoutComments);
    expect(code(chinese)).toEqual(code(english));
  });

  it("has the same links", () => {
    const links = (text: string) =>
      matches(text, /\]\(([^)\s]+)\)/g).filter((link) => !link.startsWith("README"));
    expect(links(chinese).sort()).toEqual(links(english).sort());
  });

  it("has the same rows in its tables", () => {
    const rows = (text: string) => matches(withoutBlocks(text), /^\| ([^|]+) \|/gm).length;
    expect(rows(chinese)).toBe(rows(english));
  });
});

describe("agent-cli/README.md", () => {
  it("names every flag of every command, and no other", async () => {
    const named = new Set(matches(read("agent-cli/README.md"), /[`\s](--[a-z][a-z0-9-]*)/g));
    const foreign = ["--help", "--version"];
    const known = new Set([...foreign, ...(await flagsOfTheProgram())]);
    expect([...named].filter((flag) => !known.has(flag))).toEqual([]);
    expect([...known].filter((flag) => !named.has(flag))).toEqual([]);
  });
});

/** Words in backquotes that can only be meant as files or folders of this project. */
function pathsIn(file: string, text: string): string[] {
  const quoted = matches(withoutBlocks(text), /`([^`\s]+)`/g);
  const folders = globSync("*/", { cwd: root }).map((folder) => folder.replace(/\/$/, ""));
  const inMap = file === "agent-cli/README.md" ? mapOfTheAgent(text) : [];
  const isPath = (word: string) =>
    /^([\w-]+\/)*[\w.-]+\.(ts|mjs|md|toml)$/.test(word) ||
    /^[a-z-]+\/$|^\.ci\//.test(word) ||
    (word.includes("/") && folders.includes(word.split("/")[0] ?? ""));
  return [...inMap, ...quoted.filter((word) => isPath(word))];
}

/** The first column of the agent's map of its code. */
const mapOfTheAgent = (text: string) =>
  matches(text.split("## Map of the code")[1] ?? "", /^ {4}(\S.*?)(?: {2,}|$)/gm)
    .flatMap((names) => names.split(/[,\s]+/))
    .filter(Boolean);

/** A map names what lies beside it, or in one of the folders that the same row names. */
const exists = (file: string, named: string) =>
  [".", path.dirname(file), "agent-cli", "worker", "test"].some((base) =>
    existsSync(path.join(root, base, named)),
  ) || globSync(`agent-cli/*/${named}`, { cwd: root }).length > 0;

type Call = { method: string | null; path: string };

function callsIn(text: string): Call[] {
  const commands = codeBlocks(text).flatMap((block) => block.replaceAll("\\\n", " ").split("\n"));
  const inCode = commands.flatMap((line, at) => {
    const called = /\$MASTER(\/api\/[^"\s]*)/.exec(line)?.[1];
    // The body of a call may begin on the next line.
    return called ? [{ method: methodOf(line, commands[at + 1] ?? ""), path: called }] : [];
  });
  const inProse = [
    ...withoutBlocks(text).matchAll(/`(?:(GET|POST|PUT|PATCH|DELETE) )?(\/(?:api\/[^`\s]*|install\.sh))/g),
  ];
  return [
    ...inCode,
    ...inProse.map(([, method, called]) => ({ method: method ?? null, path: called ?? "" })),
  ];
}

function methodOf(line: string, next: string): string {
  const named = /-X ([A-Z]+)/.exec(line)?.[1];
  return named ?? (/ -d /.test(line) || /^\s+-d /.test(next) ? "POST" : "GET");
}

function isAnswered({ method, path: called }: Call): boolean {
  const wanted = called.replace(/[?#].*/, "").split("/");
  return Object.values<Endpoint>({ ...adminApi, ...agentApi }).some((endpoint) => {
    const parts = endpoint.path.split("/");
    return (
      (method === null || method === endpoint.method) &&
      parts.length === wanted.length &&
      parts.every((part, at) => part.startsWith(":") || part === wanted[at])
    );
  });
}

/** Comments are in the reader's language; commands and data are not. */
const withoutComments = (block: string) =>
  block
    .split("\n")
    .map((line) => line.replace(/(^|\s+)# .*$/, "").trimEnd())
    .join("\n");

async function flagsOfTheProgram(): Promise<string[]> {
  const help = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, [program, ...args, "--help"])).stdout;
  const commands = matches(await help(), /^ {2}([a-z]+) .*$/gm).filter((name) => name !== "help");
  const texts = await Promise.all(commands.map((name) => help(name)));
  return texts.flatMap((text) => matches(text, /^ {2}(?:-\w, )?(--[a-z][a-z0-9-]*)/gm));
}
