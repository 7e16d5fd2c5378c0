import { closeSync, existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { stringify } from "yaml";
import { agentApi } from "../../protocol/agent-api.ts";
import { MasterError, makeClient } from "../client.ts";
import { type Config, defaultPaths, type Flags, readConfig } from "../config.ts";
import { ExitError } from "../exit-codes.ts";
import { makeFolders } from "../make-folders.ts";
import { makeDispatcher, networkOf, trustOwnCa } from "../network.ts";
import { printJson, printLine } from "./print.ts";

type Options = { code?: string; force?: boolean; json?: boolean };

/** Becomes a node of a master: trades a code for a token, and writes token and configuration for `run`. */
export async function enroll(flags: Flags, options: Options): Promise<void> {
  const configFile = resolve(flags.config ?? join(defaultPaths().configDir, "agent.yaml"));
  const tokenFile = resolve((flags.tokenFile as string | undefined) ?? join(dirname(configFile), "token"));
  // Both are about to be written, so neither is read; and a token of another node must not travel along.
  const { config: _config, tokenFile: _tokenFile, ...network } = flags;
  const config = readConfig(network, withoutFiles());
  if (config.master === null) throw new ExitError("usage", "no master: set --master");
  const code = await readCode(options.code);
  const release = reserve([tokenFile, configFile], options.force === true);
  try {
    const node = await trade(config, code);
    writeFileSync(tokenFile, `${node.token}\n`, { mode: 0o600 });
    writeFileSync(configFile, yamlOf(config, tokenFile, flags), { mode: 0o600 });
    tell({ nodeId: node.nodeId, name: node.name, configFile, tokenFile }, options.json === true);
  } catch (error) {
    release();
    throw error;
  }
}

/** The environment of a run that must not depend on what an earlier enrolment wrote. */
function withoutFiles() {
  const {
    BACKUPX_AGENT_TOKEN: _t,
    BACKUPX_AGENT_TOKEN_FILE: _f,
    BACKUPX_AGENT_CONFIG: _c,
    ...env
  } = process.env;
  return { env, isRoot: process.getuid?.() === 0, ignoreFile: true };
}

async function readCode(flag: string | undefined): Promise<string> {
  const given =
    flag ?? process.env.BACKUPX_AGENT_CODE ?? (process.stdin.isTTY ? await ask() : await text(process.stdin));
  const code = given.trim();
  if (code === "") throw new ExitError("usage", "no code: set BACKUPX_AGENT_CODE, --code, or pipe it in");
  if (code.length > 200) throw new ExitError("usage", "that is not an enrolment code: it is too long");
  return code;
}

async function ask(): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await prompt.question("Enrolment code: ");
  } finally {
    prompt.close();
  }
}

/** Makes sure of the files before the code is used up, because a code works once. */
function reserve(files: string[], force: boolean): () => void {
  const made: string[] = [];
  const release = () => {
    for (const file of made) rmSync(file, { force: true });
  };
  for (const file of files) {
    try {
      makeFolders(dirname(file), 0o700);
      const existed = existsSync(file);
      closeSync(openSync(file, force ? "a" : "wx", 0o600));
      if (!existed) made.push(file);
    } catch (error) {
      release();
      const { code } = error as NodeJS.ErrnoException;
      const reason =
        code === "EEXIST" ? "exists already; --force overwrites it" : `cannot be written: ${code}`;
      throw new ExitError(code === "EEXIST" ? "failed" : "usage", `${file} ${reason}`);
    }
  }
  return release;
}

async function trade(config: Config, code: string) {
  trustOwnCa(networkOf(config));
  const dispatcher = makeDispatcher(networkOf(config));
  const client = makeClient({ master: config.master as URL, token: null, dispatcher });
  try {
    return await client.call(agentApi.enroll, { body: { code, hostname: hostname().slice(0, 255) } });
  } catch (error) {
    if (error instanceof MasterError) throw new ExitError("failed", error.message);
    throw error;
  } finally {
    await client.close();
  }
}

function yamlOf(config: Config, tokenFile: string, flags: Flags): string {
  return stringify({
    master: (config.master as URL).href,
    tokenFile,
    ...(flags.stateDir ? { stateDir: config.stateDir } : {}),
    ...(config.identityFile ? { identityFile: config.identityFile } : {}),
    ...(config.proxyUrl ? { proxyUrl: config.proxyUrl.href } : {}),
    ...(config.caCertFile ? { caCertFile: config.caCertFile } : {}),
    ...(config.insecureTls ? { insecureSkipTlsVerify: true } : {}),
  });
}

function tell(
  node: { nodeId: number; name: string; configFile: string; tokenFile: string },
  json: boolean,
): void {
  if (json) return printJson(node);
  printLine(`This machine is now node ${node.nodeId}, "${node.name}".`);
  printLine(`Configuration: ${node.configFile}`);
  printLine(`Start it with: backupx-agent run --config ${node.configFile}`);
}
