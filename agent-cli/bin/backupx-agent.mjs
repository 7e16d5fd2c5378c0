#!/usr/bin/env node
// Kept to old syntax on purpose: this file must start on any Node to say that it is too old.
var parts = process.versions.node.split(".").map(Number);
var tooOld = parts[0] < 22 || (parts[0] === 22 && parts[1] < 19);

if (tooOld) {
  process.stderr.write(
    "backupx-agent needs Node 22.19 or newer, and this is " +
      process.versions.node +
      " (" +
      process.execPath +
      ").\n" +
      "Run it with a Node of its own, which leaves the installed one alone:\n\n" +
      "  npx -y -p node@24 -p backupx-agent backupx-agent " +
      process.argv.slice(2).filter(isHarmless).join(" ") +
      "\n\n" +
      "or, without the npm registry's copy of the agent: -p https://YOUR-MASTER/backupx-agent.tgz\n",
  );
  process.exit(2);
} else {
  import("../dist/main.js").catch((error) => {
    process.stderr.write(`backupx-agent: ${error?.stack ?? error}\n`);
    process.exit(1);
  });
}

// Options may carry a token, so only the command's name is repeated.
function isHarmless(word) {
  return /^[a-z]+$/.test(word);
}
