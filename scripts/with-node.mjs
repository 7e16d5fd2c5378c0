// Runs a script of this project with a Node that can: installs what the lock file names, then uses the Node 24 that
// came with it (Linux), or the caller's own where that is new enough. Plain JavaScript, because it starts on Node 20.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const modules = path.join(root, "node_modules");
const stamp = path.join(modules, ".backupx-installed");

install();
const node = findNode();
const child = spawn(node, ["--disable-warning=ExperimentalWarning", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env: {
    ...process.env,
    PATH: [path.dirname(node), path.join(modules, ".bin"), process.env.PATH].join(path.delimiter),
  },
});
// A terminal sends Ctrl-C to the child as well; the child decides when it is over.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));

function install() {
  const digest = createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
  const installed = () => existsSync(stamp) && readFileSync(stamp, "utf8") === digest;
  if (installed()) return;
  const unlock = lock();
  try {
    if (installed()) return;
    console.error("Installing what package-lock.json names (about half a minute) ...");
    const npm = process.env.npm_execpath;
    const [command, args] = npm ? [process.execPath, [npm]] : ["npm", []];
    const done = spawnSync(command, [...args, "ci"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
    if (done.status === 0) return writeFileSync(stamp, digest);
  } finally {
    unlock();
  }
  console.error("npm ci failed: see above. Is the npm registry reachable?");
  process.exit(1);
}

/** Two terminals may start at once, and npm ci empties node_modules first: the second one waits for the first. */
function lock() {
  const file = path.join(root, ".installing");
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (!isAlive(Number(readFileSync(file, "utf8")))) rmSync(file, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    }
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function findNode() {
  const brought = path.join(modules, `node-linux-${process.arch}`, "bin", "node");
  if (existsSync(brought)) return brought;
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return process.execPath;
  console.error(
    `This needs Node 22.19 or newer; this is ${process.versions.node}, and none came with the packages.`,
  );
  process.exit(1);
}
