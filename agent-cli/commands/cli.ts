import { Command, CommanderError, Option } from "commander";
import type { Flags } from "../config.ts";
import { ExitError, type ExitName, exitCodes, exitCodeTable } from "../exit-codes.ts";
import { agentVersion } from "../version.ts";

/** Runs one command line; the process ends with a code of the table, once nothing is left to do. */
export async function runCli(args: string[]): Promise<void> {
  const outcome = await outcomeOf(args);
  // Whoever asked twice does not want to wait for connections and children to end by themselves.
  if (outcome === "interrupted") process.exit(exitCodes.interrupted.code);
  process.exitCode = exitCodes[outcome].code;
}

async function outcomeOf(args: string[]): Promise<ExitName> {
  let outcome: ExitName = "ok";
  const program = buildProgram((ended) => {
    outcome = ended;
  });
  try {
    refuseUnknownCommand(program, args[0]);
    await program.parseAsync(args, { from: "user" });
    return outcome;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? "ok" : "usage";
    if (!(error instanceof ExitError)) throw error;
    process.stderr.write(`backupx-agent: ${error.message}\n`);
    return error.exit;
  }
}

/** Left to itself, the default command would take an unknown word for an argument too many of its own. */
function refuseUnknownCommand(program: Command, word: string | undefined): void {
  if (word === undefined || word.startsWith("-") || word === "help") return;
  if (!program.commands.some((command) => command.name() === word))
    program.error(`error: unknown command '${word}'`);
}

function buildProgram(ended: (outcome: ExitName) => void): Command {
  const program = new Command("backupx-agent")
    .description("Backs up this machine for a BackupX master, and restores it.")
    .version(agentVersion)
    .addHelpText("after", `\n${exitCodeTable()}`)
    .exitOverride()
    .showHelpAfterError("(backupx-agent --help shows all commands and options)");

  withNetwork(program.command("run", { isDefault: true }))
    .description("stay connected to the master and do what it asks for (default)")
    .addOption(new Option("--token <token>", "this node's token; seen by everybody in the process list"))
    .option("--token-file <path>", "a file that holds this node's token")
    .option("--state-dir <path>", "where the agent remembers what it has in hand")
    .option("--temp-dir <path>", "where jobs put temporary files (default: the state directory)")
    .option("--heartbeat-interval <duration>", "such as 15s (default: as the master says)")
    .option("--poll-interval <duration>", "such as 5s, while no socket is up (default: as the master says)")
    .option("--identity-file <path>", "the private key for restores of encrypted backups; see keygen")
    .option("--stall-timeout <duration>", "end a job that has moved no bytes for so long (default: 30m)")
    .option("--grace <duration>", "how long jobs may go on after a stop signal (default: 60s)")
    .option("--max-concurrent <n>", "most backups and restores at a time (default: 4)")
    .option("--log-format <format>", "text or json (default: text on a terminal)")
    .action(async (options) => {
      const { runAgent } = await import("./run.ts");
      ended(await runAgent(flagsOf(options)));
    });

  withNetwork(program.command("enroll"))
    .description("trade an enrolment code for a token and write the configuration")
    .option("--code <code>", "the code; better from BACKUPX_AGENT_CODE or standard input")
    .option("--token-file <path>", "where to write the token")
    .option("--state-dir <path>", "state directory to write into the configuration")
    .option("--identity-file <path>", "private key file to write into the configuration")
    .option("--force", "overwrite an existing token and configuration")
    .option("--json", "answer in JSON")
    .action(async (options) => {
      const { enroll } = await import("./enroll.ts");
      await enroll(flagsOf(options), options);
    });

  program
    .command("status")
    .description("show what the agent on this machine is doing, without asking the master")
    .option("--config <path>", configHelp)
    .option("--state-dir <path>", "the agent's state directory")
    .option("--json", "answer in JSON")
    .action(async (options) => {
      const { showStatus } = await import("./status.ts");
      ended(showStatus(flagsOf(options), options));
    });

  withNetwork(program.command("doctor"))
    .description("check that this machine is ready: master, token, clock, directories, tools")
    .addOption(new Option("--token <token>", "this node's token").hideHelp())
    .option("--token-file <path>", "a file that holds this node's token")
    .option("--state-dir <path>", "the agent's state directory")
    .option("--temp-dir <path>", "the jobs' temporary directory")
    .option("--identity-file <path>", "the private key for restores of encrypted backups")
    .option("--json", "answer in JSON")
    .action(async (options) => {
      const { runDoctor } = await import("./doctor.ts");
      ended(await runDoctor(flagsOf(options), options));
    });

  program
    .command("keygen")
    .description("make a key pair for encrypted backups; prints the public key")
    .option("--output <file>", "where the private key goes (default: identity.txt beside the configuration)")
    .option("--json", "answer in JSON")
    .action(async (options) => {
      const { makeKeys } = await import("./keygen.ts");
      await makeKeys(options);
    });

  withStorage(program.command("backup"))
    .description("make one backup without a master; prints its SHA-256")
    .argument("<path...>", "what to back up; or one database server, such as postgresql://user@host/database")
    .option(
      "--to <place>",
      "a directory, or s3://bucket/prefix (credentials: AWS_* variables); with --storage, a prefix there (default: none)",
    )
    .option("--name <name>", "start of the artifact's name (default: this machine's name)")
    .option("--exclude <pattern...>", "leave out what matches; after the paths, such as '*.log'")
    .option("--one-file-system", "do not cross into other file systems")
    .option("--sqlite", "the paths are SQLite databases")
    .option("--password-file <file>", passwordHelp)
    .option("--tls <mode>", tlsHelp)
    .option("--tls-ca <file>", "check the database server's certificate against these authorities")
    .addOption(
      new Option("--compression <method>", "how to compress")
        .choices(["zstd", "gzip", "none"])
        .default("zstd"),
    )
    .option("--level <n>", "compression level: 1 to 19 for zstd, 1 to 9 for gzip")
    .option(
      "--recipient <key...>",
      "encrypt to this age public key (age1...); each one can open it alone",
      [],
    )
    .option("--json", "answer in JSON")
    .action(async (paths, options) => {
      const { backUpOnce } = await import("./backup.ts");
      await backUpOnce(paths, options);
    });

  withStorage(program.command("restore"))
    .description("restore an artifact without a master")
    .argument("<artifact>", artifactHelp)
    .requiredOption(
      "--to <place>",
      "a directory; for a single database, a file's name will do; or a database server, as in backup",
    )
    .option("--path <path...>", "only these paths, as they were backed up")
    .option("--database <name...>", "to a server: only these databases; old=new gives one another name")
    .option("--roles", "to PostgreSQL: first make the roles that the server lacks")
    .option("--no-owners", "to PostgreSQL: leave owners and rights out")
    .option("--password-file <file>", passwordHelp)
    .option("--tls <mode>", tlsHelp)
    .option("--tls-ca <file>", "check the database server's certificate against these authorities")
    .option("--sha256 <hash>", "refuse an artifact with another SHA-256")
    .option("--identity <file>", "the file with the private key for an encrypted artifact")
    .addOption(
      new Option("--conflict <policy>", "what to do with files that exist (fail: write nothing at all)")
        .choices(["fail", "keep", "overwrite"])
        .default("fail"),
    )
    .option("--base <artifact>", baseHelp)
    .option("--dry-run", "write nothing; tell what would be created, overwritten, kept and refused")
    .option("--json", "answer in JSON")
    .action(async (artifact, options) => {
      const { restoreOnce } = await import("./restore.ts");
      await restoreOnce(artifact, options);
    });

  withStorage(program.command("list"))
    .description(
      "list what is in a backup of files, or with --storage alone the backups there, without a master",
    )
    .argument("[artifact]", artifactHelp)
    .option("--from <artifact>", "names the artifact too, instead of the argument")
    .option("--path <path>", "the directory to list (default: the top)")
    .option(
      "--name <text>",
      "search instead: what has this in its name, from there down; in a storage, in its key",
    )
    .option("--identity <file>", "the file with the private key for an encrypted artifact")
    .option("--json", "answer in JSON")
    .action(async (artifact, options) => {
      const { listOnce } = await import("./list.ts");
      await listOnce(artifact, options);
    });

  withStorage(program.command("verify"))
    .description("verify an artifact without a master; exits with 1 when it is damaged")
    .argument("[artifact]", artifactHelp)
    .option("--from <artifact>", "names the artifact too, instead of the argument")
    .option(
      "--grade <n>",
      "1: it is there, 2: every byte is hashed, 3: it is opened and read through, 4: restored and compared",
      "3",
    )
    .option("--sha256 <hash>", "what its SHA-256 must be; without it, only grade 1 can be proved")
    .option("--identity <file>", "the file with the private key for an encrypted artifact")
    .option("--base <artifact>", baseHelp)
    .option("--json", "answer in JSON")
    .action(async (artifact, options) => {
      const { verifyOnce } = await import("./verify.ts");
      ended(await verifyOnce(artifact, options));
    });

  program
    .command("version")
    .description("print the version")
    .action(() => void process.stdout.write(`${agentVersion}\n`));
  for (const command of program.commands) command.exitOverride();
  return program;
}

const artifactHelp = "a file, or s3://bucket/key; with --storage, its key there";
const baseHelp =
  "the full backup that a differential one builds on (default: found by its name in the same storage or folder)";
const passwordHelp = "a file with the database server's password (or BACKUPX_DATABASE_PASSWORD)";
const tlsHelp = "to the database server: disable, prefer (the default), require, verify-ca or verify-full";

const configHelp =
  "configuration file (default: agent.yaml in ~/.config/backupx-agent, unless root, or /etc/backupx-agent)";

const withStorage = (command: Command): Command =>
  command
    .option(
      "--storage <file>",
      "a YAML file (mode 0600) with type, settings and secrets of a storage, in which the places are then keys",
    )
    .option("--ca-cert <path>", "to storages: trust this CA too");

const withNetwork = (command: Command): Command =>
  command
    .option("--master <url>", "address of the master, such as https://backup.example.com")
    .option("--config <path>", configHelp)
    .option("--proxy-url <url>", "reach the master through this http, https or socks5 proxy")
    .option("--ca-cert <path>", "trust this CA too")
    .option("--insecure-tls", "do not check TLS certificates");

/** Two flags are shorter than their keys. */
function flagsOf({ insecureTls, caCert, ...rest }: Record<string, string | boolean | undefined>): Flags {
  const { code: _code, force: _force, json: _json, ...flags } = rest;
  return { ...flags, insecureSkipTlsVerify: insecureTls, caCertFile: caCert } as Flags;
}
