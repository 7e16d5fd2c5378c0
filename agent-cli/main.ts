import { agentVersion } from "./version.ts";

const args = process.argv.slice(2);

// The version is asked for by scripts and installers, often: it must not wait for anything to be loaded.
if (args.length === 1 && ["--version", "-V", "version"].includes(args[0] as string)) {
  process.stdout.write(`${agentVersion}\n`);
} else {
  const { runCli } = await import("./commands/cli.ts");
  await runCli(args);
}
