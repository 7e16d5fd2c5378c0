import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import type { ConfiguredCommand } from "../../agent-cli/pipeline/pipeline.ts";
import { gradeReached } from "../../protocol/verification.ts";
import { details, verifierOf } from "./verifier.ts";
import { key, scratch, world } from "./world.ts";

const source = { type: "command" as const, name: "ldap" };
const sh = (script: string) => ["/bin/sh", "-c", script];
const lines = 200_000;
const command = (verify: string[] | null, timeoutMs = 60_000): Record<string, ConfiguredCommand> => ({
  ldap: { run: sh(`seq 1 ${lines}`), restore: null, verify: verify && { run: verify, timeoutMs } },
});

/** A stored output of `seq`, and a verification of it by what the configuration names. */
async function stored(verify: string[] | null, timeoutMs?: number) {
  const w = world();
  const commands = command(verify, timeoutMs);
  await w.backup({ source, commands, compression: "gzip" });
  const { verify: run, workDir } = verifierOf(w, source);
  return { ...w, workDir, verify: (change = {}) => run(4, { commands, compression: "gzip", ...change }) };
}

test("the output is given to the program that the configuration names, unpacked, and its code 0 is grade 3", async () => {
  const place = scratch();
  const { verify } = await stored(sh(`cat > ${place}/copy && env > ${place}/variables`));
  process.env["BACKUPX_AGENT_TOKEN"] = "a planted secret";
  const report = await verify().finally(() => {
    delete process.env["BACKUPX_AGENT_TOKEN"];
  });
  expect(gradeReached(report.checks)).toBe(3);
  expect(details(report).slice(2)).toEqual([
    "3 passed: its 1288895 bytes were given to sh, which ended with code 0",
    "4 not_checked: the output of a command is never restored to a scratch place: 3 is the highest grade for its backups",
  ]);
  const wanted = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join("");
  expect(readFileSync(join(place, "copy"), "utf8") === wanted).toBe(true);
  expect(readFileSync(join(place, "variables"), "utf8")).not.toContain("a planted secret");
});

test.each([
  ["says so at its end", "tail -n 1 | grep -q '^1$' || { echo 'no last line' >&2; exit 4; }"],
  ["says so before it has read much", "head -n 1 > /dev/null; echo 'no last line' >&2; exit 4"],
])("a program that finds it wrong and %s: damage, in its words", async (_when, script) => {
  const { verify } = await stored(sh(script));
  const report = await verify();
  expect(gradeReached(report.checks)).toBe(2);
  expect(details(report).slice(1)).toEqual([
    expect.stringMatching(/^2 passed: /),
    "3 damaged: sh ended with code 4: no last line",
  ]);
});

test("a program that stops reading and is content: the rest is read for its own sake", async () => {
  const { verify, storage } = await stored(sh("head -n 1 > /dev/null"));
  expect(gradeReached((await verify()).checks)).toBe(3);
  const whole = storage.objects.get(key) as Buffer;
  storage.objects.set(key, whole.subarray(0, whole.length - 100));
  expect(details(await verify()).slice(2)).toEqual([
    "3 damaged: the backup is damaged: gzip: unexpected end of file",
  ]);
});

test.each([
  ["is not there", ["/no/such/program"], "the program program is not installed on this machine"],
  ["cannot run what it needs", sh("no-such-program"), /^sh ended with code 127: .*no-such-program/],
  ["is killed", sh("kill -9 $$"), "sh was ended by SIGKILL"],
])("a program that %s says nothing against the backup", async (_what, verify, words) => {
  const report = await (await stored(verify)).verify();
  expect(gradeReached(report.checks)).toBe(2);
  const { outcome, detail } = report.checks.at(-1) ?? {};
  expect(outcome).toBe("not_checked");
  expect(detail).toEqual(typeof words === "string" ? words : expect.stringMatching(words));
});

test("a program that does not end is ended when its time is over, though what it started holds its output", async () => {
  const place = scratch();
  const { verify } = await stored(sh(`trap '' TERM; sleep 600 & echo $! > ${place}/child; wait`), 1000);
  const report = await verify();
  process.kill(Number(readFileSync(join(place, "child"), "utf8")), "SIGKILL");
  expect(details(report).slice(2)).toEqual([
    "3 not_checked: sh was ended after 1s: give it more by `verifyTimeout` at `commands.ldap` in the agent's configuration",
  ]);
});

test("a cancelled verification ends the program, and has no finding", async () => {
  const { verify } = await stored(sh("cat > /dev/null; exec sleep 600"));
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error("cancelled by a person")), 500);
  await expect(verify({ signal: abort.signal })).rejects.toThrow("cancelled by a person");
});

test("without such a program grade 3 is not reached, and it is said what would help", async () => {
  const missing = "it was read to its end, but whether it is sound only a program of this machine can say";
  const { verify, storage } = await stored(null);
  const report = await verify();
  expect(gradeReached(report.checks)).toBe(2);
  expect(details(report).slice(2)).toEqual([
    `3 not_checked: ${missing}: name one as \`verify: [program, argument…]\` at \`commands.ldap\` in the agent's configuration`,
  ]);
  expect(details(await verify({ commands: {} })).at(-1)).toBe(
    `3 not_checked: ${missing}, and the configuration of this agent allows no command ldap`,
  );
  expect(details(await verify({ source: { ...source, name: "" } })).at(-1)).toBe(
    `3 not_checked: ${missing}, and no configuration is asked here: verify it by its master`,
  );
  const packed = gzipSync("something else");
  packed[packed.length - 6] = 0;
  storage.objects.set(key, packed);
  expect(details(await verify()).at(-1)).toMatch(/^3 damaged: the backup is damaged: gzip: /);
});
