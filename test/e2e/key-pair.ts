import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { cleanEnv } from "./machine.ts";
import type { World } from "./world.ts";

/** A key pair made on a machine by the agent's own command. */
export function keyPair(
  { agentEntry }: Pick<World, "agentEntry">,
  folder: string,
  name = "identity.txt",
): { file: string; recipient: string; secret: string } {
  const file = path.join(folder, name);
  const made = spawnSync(process.execPath, [agentEntry, "keygen", "--output", file], {
    env: cleanEnv(),
    encoding: "utf8",
  });
  expect(made.status, made.stderr).toBe(0);
  const recipient = made.stdout.trim();
  const text = readFileSync(file, "utf8");
  const secret = /^AGE-SECRET-KEY-1[A-Z0-9]{58}$/m.exec(text)?.[0] ?? "";
  expect(text).toContain(`# public key: ${recipient}\n`);
  expect(secret).not.toBe("");
  expect(`${made.stdout}${made.stderr}`).not.toContain(secret);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  return { file, recipient, secret };
}
