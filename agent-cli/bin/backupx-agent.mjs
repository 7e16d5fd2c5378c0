#!/usr/bin/env node
// Kept to old syntax on purpose: this file must start on any Node to say that it is too old.
var parts = process.versions.node.split(".").map(Number);
var tooOld = parts[0] < 22 || (parts[0] === 22 && parts[1] < 19);

if (tooOld) {
  tell([
    "backupx-agent needs Node 22.19 or newer. This is ".concat(process.versions.node),
    "Run it with a Node of its own, which leaves the installed one alone:",
    "",
    "  npx -y -p node@24 -p https://YOUR-MASTER/backupx-agent.tgz backupx-agent ".concat(
      command(process.argv[2]),
    ),
  ]);
  process.exit(2);
} else {
  import("../dist/main.js").catch(fail);
}

function fail(error) {
  tell(["backupx-agent: cannot start", String(error.stack)]);
  process.exit(1);
}

function tell(lines) {
  process.stderr.write(lines.concat("").join("\n"));
}

// Options may carry a token, so only the command's name is repeated.
function command(word) {
  return /^[a-z]{1,10}$/.test(word || "") ? word : "run";
}
