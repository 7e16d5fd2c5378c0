import { agentVersion } from "./version.ts";

const args = process.argv.slice(2);

// The version is asked for by scripts and installers, often: it must not wait for anything to be loaded.
if (args.length === 1 && ["--version", "-V", "version"].includes(args[0] as string)) {
  process.stdout.write(`${agentVersion}\n`);
} else {
  if (args.every((arg) => arg.startsWith("-")) || args[0] === "run") becomeSmall();
  // Whoever reads the output may have read enough, such as `head`.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  const { runCli } = await import("./commands/cli.ts");
  await runCli(args);
}

/**
 * A resident agent makes little garbage, seldom: without room for much of it, it stays some 10 MB smaller. Only a
 * start can say so, hence this process begins once more as itself, under the same id.
 */
function becomeSmall(): void {
  const option = "--max-semi-space-size=1";
  if (process.execArgv.includes(option) || process.execve === undefined) return;
  const again = [process.execPath, option, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, again, process.env as Record<string, string>);
}
