import { agentApi } from "../../protocol/agent-api.ts";
import type { Reporter } from "../pipeline/pipeline.ts";
import type { VerificationReport, VerifyJob } from "../pipeline/verify/finding.ts";
import { runVerification } from "../pipeline/verify/verify.ts";
import type { Storage } from "../storage/storage.ts";
import type { VaultContext } from "../vault-client.ts";
import type { StoragesOf } from "./connections.ts";
import { isDirect, type Job } from "./job.ts";
import { identitiesFrom, openStored } from "./stored-artifact.ts";

type Run = Pick<VerifyJob, "workDir" | "commands" | "report" | "alive" | "signal"> & {
  identityFile: string | null;
};

/** Looks into a copy as far as its spec asks. */
export async function verify(
  { spec }: Extract<Job, { kind: "verify" }>,
  { identityFile, ...run }: Run,
  context: VaultContext,
  storages: StoragesOf,
): Promise<VerificationReport> {
  const call = { endpoint: agentApi.verificationArtifact, id: spec.verificationId };
  const own = await openStored(spec, context, call, storages(spec.storage));
  const identities = spec.encrypt ? await keysOrWhyNot(spec.identityFile ?? identityFile, run.report) : null;
  const base = spec.base && {
    ...(await openStored(spec.base, context, { ...call, of: "base" }, storages(spec.base.storage))),
    identities: identities !== null && "missing" in identities ? null : identities,
  };
  return runVerification({
    grade: spec.grade,
    source: spec.source,
    compression: spec.compression,
    ...own,
    storage: isDirect(spec.storage) ? own.storage : whatTheVaultHas(own.storage, spec.vaultSize),
    identities,
    base,
    ...run,
  });
}

/** A reader of the vault knows only what it was told to expect. The master has looked. */
const whatTheVaultHas = (storage: Storage, sizeBytes: number | null): Storage => ({
  ...storage,
  stat: async () => (sizeBytes === null ? null : { sizeBytes }),
});

/** The keys of this machine that may open the backup, or why there are none: the first two grades need none. */
async function keysOrWhyNot(file: string | null, report: Reporter): Promise<VerifyJob["identities"]> {
  try {
    return await identitiesFrom(file, report, "verification");
  } catch (error) {
    return { missing: (error as Error).message };
  }
}
