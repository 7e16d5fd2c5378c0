import { configuredCommand, programRun } from "../../sources/command.ts";
import { nameOf } from "../../sources/program.ts";
import type { ConfiguredCommand, SourceSpec } from "../pipeline.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import { counted } from "./counted.ts";
import { type Finding, notChecked, passed, type VerifyJob } from "./finding.ts";
import { judgedBy } from "./judged-by.ts";

type CommandSpec = Extract<SourceSpec, { type: "command" }>;
type Verifier = NonNullable<ConfiguredCommand["verify"]>;

const name = "output";

/**
 * What a command has written: whether that is sound, only a program can say that the node's own configuration names for
 * it. Without one it is read to its end, which proves no more than its hash.
 */
export function checkCommand(job: VerifyJob, looked: Looked): ContentCheck {
  return {
    name,
    async open(content) {
      const bytes = counted(content, looked);
      const verifier = verifierOf(job);
      if ("missing" in verifier) {
        for await (const _ of bytes) job.signal.throwIfAborted();
        return [notChecked(name, verifier.missing)];
      }
      const finding = await judgementOf(verifier, bytes, job, looked);
      looked.entries = 1;
      return [finding];
    },
    async restore() {
      const reason =
        "the output of a command is never restored to a scratch place: 3 is the highest grade for its backups";
      return [notChecked("restore", reason)];
    },
  };
}

const placeOf = (command: string): string => `\`commands.${command}\` in the agent's configuration`;

/** The program that judges the output, or why there is none and what to do about it. */
function verifierOf({ source, commands = {} }: VerifyJob): Verifier | { missing: string } {
  const spec = source as CommandSpec;
  const read = "it was read to its end, but whether it is sound only a program of this machine can say";
  if (spec.name === "")
    return { missing: `${read}, and no configuration is asked here: verify it by its master` };
  try {
    const { verify } = configuredCommand(spec, { commands });
    return (
      verify ?? { missing: `${read}: name one as \`verify: [program, argument…]\` at ${placeOf(spec.name)}` }
    );
  } catch (error) {
    return { missing: `${read}, and ${(error as Error).message}` };
  }
}

async function judgementOf(
  { run, timeoutMs }: Verifier,
  bytes: AsyncIterable<Uint8Array>,
  job: VerifyJob,
  looked: Looked,
): Promise<Finding> {
  const remedy = `give it more by \`verifyTimeout\` at ${placeOf((job.source as CommandSpec).name)}`;
  const start = (signal: AbortSignal) => programRun(run, { signal });
  const damage = await judgedBy(job, { name, start, timeoutMs, remedy }, async (program) => {
    for await (const chunk of bytes) await program.write(chunk);
  });
  const [program = ""] = run;
  const good = `its ${looked.bytes} bytes were given to ${nameOf({ program })}, which ended with code 0`;
  return damage ?? passed(name, good);
}
