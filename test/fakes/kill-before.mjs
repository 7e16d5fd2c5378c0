// Given to Node by --import: kills its own process, as kill -9 does, in place of the n-th call of a function of node:fs that
// matters, or writes down how often each was called. In BACKUPX_TEST_KILL: "renameSync 3 /below", or "count FILE /below".
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

const [what, where, below] = (process.env.BACKUPX_TEST_KILL ?? "").split(" ");
const names = [
  ...["openSync", "writeSync", "fchownSync", "futimesSync", "fchmodSync", "ftruncateSync"],
  ...["mkdirSync", "symlinkSync", "linkSync", "lchownSync", "lutimesSync", "renameSync"],
];
const counts = Object.fromEntries(names.map((name) => [name, 0]));
let isUnderWay = false;

for (const name of names) {
  const original = fs[name];
  fs[name] = (...args) => {
    // What happens before the first directory is made is nothing that a restore writes.
    isUnderWay ||= name === "mkdirSync" && isBelow(args[0]);
    if (isUnderWay && !isForReading(name, args)) {
      counts[name] += 1;
      if (name === what && counts[name] === Number(where)) process.kill(process.pid, "SIGKILL");
    }
    return original(...args);
  };
}
syncBuiltinESMExports();
if (what === "count" && isMainThread)
  process.on("exit", () => fs.writeFileSync(where, JSON.stringify(counts)));

function isBelow(path) {
  return String(path).startsWith(below);
}

function isForReading(name, args) {
  return name === "openSync" && ((args[1] ?? 0) & fs.constants.O_CREAT) === 0;
}
