import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { objects } from "../../protocol/index.ts";
import { scratch, taskSpec, until } from "./agent-process.ts";
import { finished, world } from "./world.ts";

type Commands = Record<string, { run: string[]; restore?: string[] }>;
const sh = (script: string): string[] => ["/bin/sh", "-c", script];

/** An agent that allows these commands, and a run of the one called `dump`. */
async function aRun(allowed: (place: string) => Commands, name = "dump") {
  const place = scratch();
  const config = join(place, "agent.yaml");
  writeFileSync(config, JSON.stringify({ commands: allowed(place) }));
  const made = await world({}, { args: ["--config", config] });
  const target = join(made.folder, "target");
  mkdirSync(target);
  const source = { type: "command", name };
  const spec = taskSpec({
    recordId: 9,
    paths: [],
    targets: [{ type: "local_disk", config: { path: target } }],
    compression: "gzip",
  });
  const prefix = "BackupX/command/261123/records/9/";
  made.master.specs.set(7, { ...spec, type: "command", source, sourcePath: "", objectPrefix: prefix });
  const artifact = join(target, prefix, "etc-9.bin.gz");
  const restoreSpec = (changes: object) => ({
    ...spec,
    restoreRecordId: 3,
    backupRecordId: 9,
    taskName: "dump",
    type: "command",
    sourcePath: "",
    sourcePaths: [],
    source,
    storage: spec.targets[0],
    storagePath: `${prefix}etc-9.bin.gz`,
    fileName: "etc-9.bin.gz",
    checksum: createHash("sha256").update(readFileSync(artifact)).digest("hex"),
    fileSize: readFileSync(artifact).length,
    destination: null,
    selectedPaths: null,
    conflict: "fail",
    ...changes,
  });
  return {
    ...made,
    place,
    target,
    artifact,
    restoreSpec,
    command: made.master.enqueue("run_task", { taskId: 7, recordId: 9 }),
    stored: () =>
      existsSync(target)
        ? readdirSync(target, { recursive: true }).filter((n) => `${n}`.includes("etc-9"))
        : [],
  };
}

describe("a command as a source", () => {
  test("is what it writes, byte for byte; its restore reads that, or it goes to a file", async () => {
    const run = await aRun((place) => ({
      dump: {
        run: sh("seq 1 200000; env | grep BACKUPX_ || true"),
        restore: sh(`cat > ${place}/taken-back`),
      },
    }));
    const agent = run.start();
    expect(await finished(run.master, agent, run.command.id)).toMatchObject({ success: true });
    const wanted = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join("");
    expect(gunzipSync(readFileSync(run.artifact)).toString() === wanted).toBe(true);
    expect(run.master.recordReports.get(9)?.at(-1)).toMatchObject({
      status: "success",
      entries: 1,
      sourceBytes: wanted.length,
      fileName: "etc-9.bin.gz",
      warningCount: 0,
    });

    run.master.restoreSpecs.set(3, run.restoreSpec({}));
    const back = run.master.enqueue("restore_record", { restoreRecordId: 3 });
    run.master.ring();
    expect(await finished(run.master, agent, back.id)).toMatchObject({ success: true });
    expect(readFileSync(join(run.place, "taken-back"), "utf8") === wanted).toBe(true);

    run.master.restoreSpecs.set(4, run.restoreSpec({ restoreRecordId: 4, destination: run.place }));
    const toFile = run.master.enqueue("restore_record", { restoreRecordId: 4 });
    run.master.ring();
    expect(await finished(run.master, agent, toFile.id)).toMatchObject({ success: true });
    expect(readFileSync(join(run.place, "etc-9.bin"), "utf8") === wanted).toBe(true);
    run.master.restoreSpecs.set(5, run.restoreSpec({ restoreRecordId: 5, destination: run.place }));
    const again = run.master.enqueue("restore_record", { restoreRecordId: 5 });
    run.master.ring();
    expect((await finished(run.master, agent, again.id))?.errorMessage).toContain("etc-9.bin");
  });

  test.each([
    [
      "ends with a code",
      "echo half; echo the disk broke >&2; exit 4",
      /sh ended with code 4: the disk broke/,
    ],
    ["is killed", "echo half; kill -9 $$", /sh was ended by SIGKILL/],
    ["ends after much was written", "seq 1 500000; exit 1", /ended with code 1/],
  ])("has failed when it %s, and nothing of it is stored", async (_what, script, words) => {
    const run = await aRun(() => ({ dump: { run: sh(script) } }));
    const agent = run.start();
    const result = await finished(run.master, agent, run.command.id);
    expect(result).toMatchObject({ success: false });
    expect(result?.errorMessage).toMatch(words);
    expect(run.stored()).toEqual([]);
  });

  test("that is not allowed, not there or cannot be taken back is refused in words", async () => {
    const unknown = await aRun(() => ({ other: { run: sh("true") } }));
    const agent = unknown.start();
    const refused = await finished(unknown.master, agent, unknown.command.id);
    expect(refused?.errorMessage).toBe("the configuration of this agent allows no command dump");

    const run = await aRun(() => ({ dump: { run: sh("echo hello") }, gone: { run: ["/no/such/program"] } }));
    const second = run.start();
    await finished(run.master, second, run.command.id);
    run.master.restoreSpecs.set(3, run.restoreSpec({}));
    const back = run.master.enqueue("restore_record", { restoreRecordId: 3 });
    run.master.ring();
    expect((await finished(run.master, second, back.id))?.errorMessage).toMatch(/name a destination/);
    const ask = async (name: string) => {
      const asked = run.master.enqueue("preview_source", {
        source: { type: "command", name },
        sourceSecrets: { password: null },
      });
      run.master.ring();
      return objects.sourcePreview.parse((await finished(run.master, second, asked.id))?.result);
    };
    expect(await ask("dump")).toMatchObject({ complete: true, entries: 1, bytes: null });
    expect(await ask("gone")).toMatchObject({ entries: 0, unreadable: { count: 1 } });
  });

  test("a cancelled run ends it with all that it started", async () => {
    const run = await aRun((place) => ({
      dump: {
        run: sh(
          `trap '' TERM; sleep 600 & echo $! > ${place}/pids; echo $$ >> ${place}/pids; echo data; wait`,
        ),
      },
    }));
    const agent = run.start();
    const pids = await until(
      () => {
        const file = join(run.place, "pids");
        const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
        return lines.length === 2 && lines;
      },
      "the command",
      agent.output,
    );
    run.command.cancelRequested = true;
    run.master.ring();
    const result = await until(() => run.command.results[0], "the result", agent.output, 20_000);
    expect(result).toMatchObject({ success: false, cancelled: true });
    await until(
      () => !pids.some((pid) => existsSync(`/proc/${pid}`)),
      "the end of its processes",
      agent.output,
    );
    expect(run.stored()).toEqual([]);
  });

  test("a command that takes back only a part, and then fails, fails the restore", async () => {
    const run = await aRun(() => ({
      dump: { run: sh("seq 1 300000"), restore: sh("head -c 10 > /dev/null; echo it is full >&2; exit 9") },
    }));
    const agent = run.start();
    await finished(run.master, agent, run.command.id);
    run.master.restoreSpecs.set(3, run.restoreSpec({}));
    const back = run.master.enqueue("restore_record", { restoreRecordId: 3 });
    run.master.ring();
    const result = await finished(run.master, agent, back.id);
    expect(result).toMatchObject({ success: false });
    expect(result?.errorMessage).toMatch(/ended with code 9: it is full/);
  });
});
