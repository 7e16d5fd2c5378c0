import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { onTestFinished } from "vitest";

/**
 * Until the test's end every call of that program is noted before it runs, after a line of shell if one is given; gives their
 * arguments, one text for each call.
 */
export function recorded(program: string, first = ":"): () => string[] {
  const folder = mkdtempSync(join(tmpdir(), "recorded-"));
  const log = join(folder, "calls");
  const real = spawnSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).stdout.trim();
  const script = `#!/bin/sh\nprintf '%s\\n' "$*" >> ${log}\n${first}\nexec ${real} "$@"\n`;
  writeFileSync(join(folder, program), script, { mode: 0o755 });
  writeFileSync(log, "");
  const path = process.env["PATH"];
  process.env["PATH"] = `${folder}${delimiter}${path}`;
  onTestFinished(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true });
  });
  return () => readFileSync(log, "utf8").split("\n").filter(Boolean);
}
