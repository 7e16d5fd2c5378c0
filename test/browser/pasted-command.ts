import { spawn } from "node:child_process";
import { chmodSync, chownSync, constants, copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Whom a command of a web page is run as by tests of root: it would otherwise write to the machine's own /etc. */
const NOBODY = 65_534;

type Pasted = { home: string; output(): string; end(): Promise<void> };

/** Pastes a command into a shell of a machine that has Node and npm, and nothing else of ours. */
export function paste(command: string, onEnd: (cleanUp: () => Promise<void>) => void): Pasted {
  const home = mkdtempSync(path.join(tmpdir(), "backupx-pasted-"));
  const bin = path.join(home, "bin");
  mkdirSync(bin);
  // The Node of these tests may lie where nobody else can read it.
  copyFileSync(process.execPath, path.join(bin, "node"), constants.COPYFILE_FICLONE);
  chmodSync(home, 0o755);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(home, NOBODY, NOBODY);
  const child = spawn("sh", ["-c", command], {
    cwd: home,
    env: {
      HOME: home,
      PATH: `${bin}:${process.env.PATH}`,
      npm_config_update_notifier: "false",
      // Whatever it needs comes from the master.
      npm_config_registry: "http://127.0.0.1:9/",
    },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that what it has started can be ended with it.
    detached: true,
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const end = async () => {
    try {
      process.kill(-(child.pid as number), "SIGTERM");
    } catch {
      // It has ended already.
    }
    await closed;
  };
  onEnd(async () => {
    await end();
    rmSync(home, { recursive: true, force: true });
  });
  return { home, output: () => output, end };
}
