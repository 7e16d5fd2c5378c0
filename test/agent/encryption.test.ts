import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../agent-cli/config.ts";
import { runAgentCommand, scratch } from "./agent-process.ts";

async function keygen(file: string): Promise<string> {
  const made = await runAgentCommand(["keygen", "--output", file]);
  expect(made.code, made.stderr).toBe(0);
  return made.stdout.trim();
}

test("keygen writes age's own format for its owner alone, prints the public key alone, and overwrites nothing", async () => {
  const file = join(scratch(), "new", "key.txt");
  const recipient = await keygen(file);
  const text = readFileSync(file, "utf8");
  expect(text).toMatch(
    /^# created: \d{4}-\d\d-\d\dT[\d:]{8}Z\n# public key: (age1[a-z0-9]{58})\nAGE-SECRET-KEY-1[A-Z0-9]{58}\n$/,
  );
  expect(text).toContain(recipient);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await runAgentCommand(["keygen", "--output", file]);
  expect(again).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("is not overwritten") });
  expect(readFileSync(file, "utf8")).toBe(text);
  const other = await runAgentCommand(["keygen", "--output", join(scratch(), "k"), "--json"]);
  expect(JSON.parse(other.stdout).recipient).not.toBe(recipient);
});

test("without a master, several recipients each restore alone; no key, a wrong one or none at all restores nothing", async () => {
  const folder = scratch();
  const [source, out] = [join(folder, "source"), join(folder, "out")];
  mkdirSync(source);
  writeFileSync(join(source, "a"), "PLAINTEXT MARKER");
  const keys = ["operator", "recovery"].map((name) => join(folder, `${name}.txt`)) as [string, string];
  const recipients = [await keygen(keys[0]), await keygen(keys[1])];
  await keygen(join(folder, "stranger.txt"));
  const made = await runAgentCommand([
    ...["backup", source, "--to", out, "--name", "x"],
    ...recipients.flatMap((recipient) => ["--recipient", recipient]),
  ]);
  expect(made.code, made.stderr).toBe(0);
  const artifact = join(out, readdirSync(out)[0] ?? "");
  expect(artifact).toMatch(/\.tar\.zst\.age$/);
  expect(readFileSync(artifact, "latin1")).not.toContain("PLAINTEXT MARKER");

  const restore = (name: string, ...more: string[]) =>
    runAgentCommand(["restore", artifact, "--to", join(folder, name), ...more]);
  for (const [i, key] of keys.entries()) {
    expect((await restore(`back-${i}`, "--identity", key)).code).toBe(0);
    expect(readFileSync(join(folder, `back-${i}`, source, "a"), "utf8")).toBe("PLAINTEXT MARKER");
  }
  expect(await restore("none")).toMatchObject({ code: 2, stderr: expect.stringContaining("--identity") });
  const wrong = await restore("wrong", "--identity", join(folder, "stranger.txt"));
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("2 of type X25519") });
  const broken = await restore("broken", "--identity", join(source, "a"));
  expect(broken).toMatchObject({ code: 2, stderr: expect.stringContaining("line 1 is not an age identity") });
  expect(broken.stderr).not.toContain("MARKER");
  expect(readdirSync(folder).filter((name) => ["none", "wrong", "broken"].includes(name))).toEqual([]);
});

test("a private key given as a recipient is refused and not repeated", async () => {
  const folder = scratch();
  await keygen(join(folder, "key.txt"));
  const secret = readFileSync(join(folder, "key.txt"), "utf8").trim().split("\n").at(-1) as string;
  const made = await runAgentCommand(["backup", folder, "--to", join(folder, "out"), "--recipient", secret]);
  expect(made.code).not.toBe(0);
  expect(made.stderr).toContain("recipient 1 is not an age public key");
  expect(`${made.stdout}${made.stderr}`).not.toContain(secret);
});

test("the identity file comes from flag, file or environment; one that others can read, or that is missing, is a warning", () => {
  const folder = scratch();
  const file = join(folder, "key.txt");
  writeFileSync(file, "# key", { mode: 0o600 });
  const environment = { BACKUPX_AGENT_IDENTITY_FILE: file };
  const read = (flags: object, env: Record<string, string> = {}) =>
    readConfig({ ...flags }, { env, isRoot: false, ignoreFile: true });
  expect(read({}).identityFile).toBeNull();
  expect(read({}, environment)).toMatchObject({ identityFile: file, warnings: [] });
  const open = join(folder, "open.txt");
  writeFileSync(open, "# key", { mode: 0o644 });
  const opened = read({ identityFile: open }, environment);
  expect(opened.identityFile).toBe(open);
  expect(opened.warnings).toEqual([`${open} can be read by others: chmod 600 ${open}`]);
  const missing = read({ identityFile: join(folder, "none") });
  expect(missing.warnings.join()).toMatch(
    /identityFile: .*none: ENOENT; encrypted backups cannot be restored/,
  );
});
