import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { en } from "../../console/src/i18n/en/en.ts";
import { zh } from "../../console/src/i18n/zh/zh.ts";
import { viteBuild } from "../browser/built-console.ts";

const root = path.resolve(import.meta.dirname, "../..");
const FIRST_LOAD_KIB = 300;
/** Charts are the heaviest of what is loaded only when it is needed. */
const CHUNK_KIB = 130;

type Chunk = { file: string; isEntry?: boolean; imports?: string[] };

describe("what a browser loads", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "backupx-console-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let manifest: Record<string, Chunk>;

  beforeAll(() => {
    viteBuild("--outDir", folder, "--manifest", "--logLevel", "warn");
    manifest = JSON.parse(readFileSync(path.join(folder, ".vite/manifest.json"), "utf8"));
  }, 120_000);

  const kib = (file: string) => gzipSync(readFileSync(path.join(folder, file))).length / 1024;
  const withImports = (chunk: Chunk): string[] => [
    chunk.file,
    ...(chunk.imports ?? []).flatMap((name) => withImports(manifest[name] as Chunk)),
  ];

  test(`is at most ${FIRST_LOAD_KIB} KiB of gzipped scripts before its first page`, () => {
    const entry = Object.values(manifest).find(({ isEntry }) => isEntry) as Chunk;
    const firstPage = manifest["src/pages/dashboard.tsx"] as Chunk;
    const loaded = [...new Set([...withImports(entry), ...withImports(firstPage)])];
    const sum = loaded.reduce((all, file) => all + kib(file), 0);
    console.info(`the console's first load: ${Math.round(sum)} KiB of gzipped scripts`);
    expect(loaded.length).toBeGreaterThan(1);
    expect(sum).toBeLessThanOrEqual(FIRST_LOAD_KIB);
  });

  test(`comes in pieces of at most ${CHUNK_KIB} KiB, gzipped, after that`, () => {
    const entry = Object.values(manifest).find(({ isEntry }) => isEntry) as Chunk;
    const first = new Set(withImports(entry));
    const later = Object.values(manifest).filter(({ file }) => file.endsWith(".js") && !first.has(file));
    const tooBig = later.filter(({ file }) => kib(file) > CHUNK_KIB);
    expect(later.length).toBeGreaterThan(2);
    expect(tooBig.map(({ file }) => `${file}: ${Math.round(kib(file))} KiB`)).toEqual([]);
  });

  test("names no other host that it would load from, and has no script in its document", () => {
    const texts = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(html|css|js)$/.test(name))
      .map((name) => [name, readFileSync(path.join(folder, name), "utf8")] as const);
    const loads =
      /(?:url\(\s*["']?|@import\s*["']|\b(?:src|href)\s*=\s*["']|\bimport\s*\(?["'`])(?:https?:)?\/\//i;
    expect(texts.filter(([, text]) => loads.test(text)).map(([name]) => name)).toEqual([]);
    const [document] = texts.filter(([name]) => name === "index.html").map(([, text]) => text);
    expect(document).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=|<style/i);
  });
});

type Texts = { [key: string]: string | Texts };

/** Every text with the names of what is above it. */
const flat = (texts: Texts, above = ""): [key: string, text: string][] =>
  Object.entries(texts).flatMap(([key, value]) =>
    typeof value === "string" ? [[above + key, value] as [string, string]] : flat(value, `${above}${key}.`),
  );

describe("the texts", () => {
  const english = new Map(flat(en));
  const chinese = new Map(flat(zh));
  // Chinese has one form for every number.
  const numberless = (key: string) => key.replace(/_(zero|one|two|few|many|other)$/, "");
  const keysOf = (texts: Map<string, string>) => [...new Set([...texts.keys()].map(numberless))].sort();
  /** A number may be left out where the words say it: "the newest one". */
  const holes = (key: string, text: string) =>
    [...new Set(text.match(/{{\s*\w+/g) ?? [])]
      .filter((hole) => key === numberless(key) || !hole.endsWith("count"))
      .sort();

  test("have the same keys in both languages, and none is empty", () => {
    expect(keysOf(chinese)).toEqual(keysOf(english));
    expect([...english, ...chinese].filter(([, text]) => text.trim() === "")).toEqual([]);
  });

  test("are filled with the same values in both languages", () => {
    const differing = [...chinese].filter(([key, text]) => {
      const same = english.get(key) ?? english.get(`${numberless(key)}_other`) ?? "";
      return holes(key, text).join() !== holes(key, same).join();
    });
    expect(differing).toEqual([]);
  });

  test("are in the language that they are for", () => {
    const han = /\p{Script=Han}/u;
    expect([...english].filter(([, text]) => han.test(text))).toEqual([]);
    const names = ["BackupX Go", "SAP HANA", "Google Cloud Storage"];
    const untranslated = [...chinese].filter(
      ([key, text]) =>
        !han.test(text) && / /.test(text) && !names.includes(text) && english.get(key) === text,
    );
    expect(untranslated).toEqual([]);
  });

  test("are all that the pages ask for", () => {
    const sources = readdirSync(path.join(root, "console/src"), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n/"))
      .map((name) => readFileSync(path.join(root, "console/src", name), "utf8"))
      .join("\n");
    const asked = [...sources.matchAll(/\bt\(\s*"([\w.]+)"/g)].map(([, key = ""]) => key);
    const known = new Set([...english.keys()].flatMap((key) => [key, numberless(key)]));
    expect(asked.length).toBeGreaterThan(20);
    expect([...new Set(asked)].filter((key) => !known.has(key))).toEqual([]);
  });
});
