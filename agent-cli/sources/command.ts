import { environmentOf } from "../environment.ts";
import type { ConfiguredCommand, SourceSpec } from "../pipeline/pipeline.ts";
import { whyItCannotBeStarted } from "./find-program.ts";
import { outputOf, type ProgramRun, startConsumer } from "./program.ts";
import {
  type Access,
  type DumpRestore,
  newPreview,
  newTally,
  type Preview,
  type Source,
  type SourceContext,
  type SourceRestore,
  type Tally,
} from "./source.ts";

type CommandSpec = Extract<SourceSpec, { type: "command" }>;

/**
 * What a program writes to its standard output, and another one reads back. The task names it; what it is, only this
 * machine's own configuration says. Whatever ends other than by itself and with code 0 has failed.
 */
export const commandSource: Source<CommandSpec> = {
  extension: () => "bin",
  async open(spec, context) {
    const { run } = configuredCommand(spec, context);
    const tally = newTally();
    tally.currentPath = spec.name;
    return { bytes: counted(outputOf(programRun(run, context)), spec, tally, context), tally };
  },
  preview: async (spec, access) => previewOf(spec, configuredCommand(spec, access)),
  async restore(restore, access) {
    const { restore: run } = configuredCommand(restore.source, access);
    if (run === null) {
      throw new Error(
        `the configuration of this agent does not say what takes the output of ${restore.source.name} back: name a destination, and it is written to a file there`,
      );
    }
    return restoring(restore, programRun(run, access));
  },
};

/** What the configuration of this machine says that a command is. Throws in words when it says nothing. */
export function configuredCommand(
  { name }: Pick<CommandSpec, "name">,
  { commands }: Pick<Access, "commands">,
): ConfiguredCommand {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new Error(`the configuration of this agent allows no command ${name}`);
  return command;
}

export const programRun = (
  [program = "", ...args]: string[],
  { signal }: Pick<Access, "signal">,
): ProgramRun => ({
  program,
  args,
  env: environmentOf(process.env),
  secrets: [],
  signal,
});

async function* counted(
  output: AsyncIterable<Buffer>,
  { name }: CommandSpec,
  tally: Tally,
  { warnings }: Pick<SourceContext, "warnings">,
): AsyncGenerator<Buffer> {
  for await (const chunk of output) {
    tally.sourceBytes += chunk.length;
    yield chunk;
  }
  tally.entries += 1;
  if (tally.sourceBytes === 0) warnings.add(`command ${name}`, "it has ended well and written nothing");
}

function previewOf({ name }: CommandSpec, { run: [program = ""] }: ConfiguredCommand): Preview {
  const preview: Preview = { ...newPreview(), complete: true, bytes: null };
  const problem = whyItCannotBeStarted(program);
  if (problem === null) return { ...preview, entries: 1, first: [{ path: name, sizeBytes: null }] };
  const reason = `${program} cannot be started: ${problem}`;
  return { ...preview, unreadable: { count: 1, first: [{ path: name, reason }] } };
}

function restoring({ tally }: SourceRestore<CommandSpec>, run: ProgramRun): DumpRestore {
  return {
    async check(bytes) {
      for await (const _ of bytes) run.signal.throwIfAborted();
    },
    async load(bytes) {
      const consumer = startConsumer(run);
      try {
        for await (const chunk of bytes) {
          await consumer.write(chunk);
          tally.sourceBytes += chunk.length;
        }
        await consumer.end();
        tally.entries = 1;
        return { entries: 1, bytes: tally.sourceBytes };
      } finally {
        await consumer.stop();
      }
    },
    close: async () => {},
  };
}
