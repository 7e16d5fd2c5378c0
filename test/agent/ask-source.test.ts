import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { objects } from "../../protocol/index.ts";
import { finished, world } from "./world.ts";

/** What the agent answers to a preview of this source, checked as the master checks it. */
async function previewOf(source: object, prepare: (folder: string) => void = () => {}) {
  const { master, folder, start } = await world();
  prepare(folder);
  const fill = JSON.parse(JSON.stringify(source).replaceAll("FOLDER", folder));
  const asked = master.enqueue("preview_source", { source: fill, sourceSecrets: { password: null } });
  const agent = start();
  const result = await finished(master, agent, asked.id);
  return { folder, result, preview: () => objects.sourcePreview.parse(result?.result) };
}

const files = (changes: object = {}) => ({
  type: "file",
  paths: ["FOLDER/source"],
  excludes: [],
  oneFileSystem: false,
  ...changes,
});

test("a preview of files tells what would be read, what the excludes leave out and what is missing", async () => {
  const { folder, preview } = await previewOf(
    files({ paths: ["FOLDER/source", "FOLDER/gone"], excludes: ["*.log", "cache/"] }),
    (folder) => {
      mkdirSync(join(folder, "source", "cache", "deep"), { recursive: true });
      writeFileSync(join(folder, "source", "a.txt"), "12345");
      writeFileSync(join(folder, "source", "b.log"), "x".repeat(1000));
      writeFileSync(join(folder, "source", "cache", "deep", "c"), "x".repeat(1000));
    },
  );
  expect(preview()).toEqual({
    complete: true,
    entries: 2,
    bytes: 5,
    first: [
      { path: join(folder, "source"), sizeBytes: 0 },
      { path: join(folder, "source", "a.txt"), sizeBytes: 5 },
    ],
    excluded: { count: 2, first: [join(folder, "source", "b.log"), `${join(folder, "source", "cache")}/`] },
    unreadable: { count: 1, first: [{ path: join(folder, "gone"), reason: "does not exist" }] },
    tools: {},
  });
});

test("a preview reads nothing and leaves the agent's own state out", async () => {
  const { folder, preview } = await previewOf(files({ paths: ["FOLDER"] }));
  const paths = preview().first.map(({ path }) => path);
  expect(paths[0]).toBe(folder);
  expect(paths.filter((path) => path.startsWith(join(folder, "state")))).toEqual([]);
});

test("a preview of what is not there is a failure in words", async () => {
  const { result } = await previewOf(files({ paths: ["FOLDER/gone"] }));
  expect(result).toMatchObject({ success: false });
  expect(result?.errorMessage).toContain("does not exist");
});

test("a preview of SQLite databases tells their sizes, with what lies in their logs, and what is none", async () => {
  const { folder, preview } = await previewOf(
    { type: "sqlite", paths: ["FOLDER/a.db", "FOLDER/missing.db"] },
    (folder) => {
      const database = new DatabaseSync(join(folder, "a.db"));
      database.exec("create table t (x); insert into t values (1)");
      database.close();
    },
  );
  expect(preview()).toMatchObject({
    complete: true,
    entries: 1,
    bytes: 8192,
    first: [{ path: join(folder, "a.db"), sizeBytes: 8192 }],
    unreadable: { count: 1, first: [{ path: join(folder, "missing.db") }] },
    tools: { sqlite: expect.any(String) },
  });
});

test("SQLite's databases are found by what they hold, whatever they are called", async () => {
  const { master, folder, start } = await world();
  const made = join(folder, "source", "deep", "Cookies");
  mkdirSync(join(folder, "source", "deep"), { recursive: true });
  const database = new DatabaseSync(made);
  database.exec("pragma journal_mode = wal; create table t (x); insert into t values (1)");
  writeFileSync(join(folder, "source", "empty.db"), "");
  writeFileSync(join(folder, "source", "none.sqlite"), "x".repeat(4096));
  writeFileSync(join(folder, "source", "cut.sqlite"), "SQLite format 3\0 and no page");
  symlinkSync(made, join(folder, "source", "link.db"));
  const asked = [folder, join(folder, "gone")].map((path) =>
    master.enqueue("discover_db", { type: "sqlite", server: { type: "sqlite", folder: path } }),
  );
  const agent = start();
  const [found, missing] = await Promise.all(asked.map(({ id }) => finished(master, agent, id)));
  const sizeBytes = statSync(made).size + statSync(`${made}-wal`).size;
  expect(found?.result).toEqual({ databases: [made], found: [{ name: made, sizeBytes }], complete: true });
  expect(missing).toMatchObject({
    success: false,
    errorMessage: `there is no directory ${join(folder, "gone")}`,
  });
  database.close();
});

test("what cannot be asked is answered in words, and a password is in none of them", async () => {
  const { master, start } = await world();
  const password = "a-planted-password";
  const asked = [
    master.enqueue("discover_db", { type: "oracle", host: "h", port: 1, user: "u", password }),
    master.enqueue("discover_db", { type: "mysql", host: "/no/such/socket", port: 1, user: "u", password }),
    master.enqueue("preview_source", { source: { type: "tape" }, sourceSecrets: { password } }),
  ];
  const agent = start();
  const results = await Promise.all(asked.map(({ id }) => finished(master, agent, id)));
  for (const result of results) {
    expect(result).toMatchObject({ success: false, errorMessage: expect.stringMatching(/\S{3}/) });
    expect(result?.errorMessage).not.toContain(password);
  }
  expect(results[0]?.errorMessage).toMatch(/^invalid payload: type/);
  expect(agent.output()).not.toContain(password);
});
