import type { objects } from "../../protocol/index.ts";
import { whyResticCannotExclude } from "../../protocol/restic-excludes.ts";
import { DomainError } from "../errors.ts";

type Task = { source: objects.Source; pipeline: objects.Pipeline };
type Target = { name: string; type: string; config: string; secretNames: string };

/** Refuses what makes no sense with restic, which packs, compresses and encrypts in its own way. */
export function checkResticSettings({ source, pipeline }: Task): void {
  if (pipeline.engine !== "restic") return;
  if (source.type !== "file") throw invalid(`pipeline.engine: restic backs up files, not ${source.type}`);
  const { compression, level, encryption, differential } = pipeline;
  if (compression !== "zstd") throw invalid("pipeline.compression: restic compresses by itself, with zstd");
  if (level !== null) throw invalid("pipeline.level: restic chooses its compression level by itself");
  if (encryption !== null) {
    throw invalid("pipeline.encryption: restic encrypts by itself, with secrets.resticPassword");
  }
  if (differential !== null)
    throw invalid("pipeline.differential: restic stores only what has changed anyway");
  for (const pattern of source.excludes) {
    const reason = whyResticCannotExclude(pattern.trim());
    if (reason) throw invalid(`source.excludes: restic cannot leave out ${pattern}: ${reason}`);
  }
}

/** Refuses a task with restic whose repositories nothing would open. */
export function requireResticPassword({ pipeline }: Task, secretNames: string): void {
  if (pipeline.engine !== "restic" || JSON.parse(secretNames).includes("resticPassword")) return;
  throw invalid("secrets.resticPassword: is needed for the engine restic");
}

/** Refuses targets that restic does not reach. */
export function checkResticTargets(targets: Target[]): void {
  for (const { name, type, config, secretNames } of targets) {
    if (type === "vault") {
      throw invalid(`targetIds: restic cannot store to the vault ${name}: choose targets of another type`);
    }
    if (type === "azure_blob" && JSON.parse(config).endpoint) {
      throw invalid(
        `targetIds: restic cannot reach ${name}: it knows Azure only at the account's usual address`,
      );
    }
    const secrets: string[] = JSON.parse(secretNames);
    if (type === "sftp" && !secrets.includes("privateKey")) {
      throw invalid(`targetIds: restic signs in to ${name} by a private key only, not by a password`);
    }
    if (type === "sftp" && secrets.includes("passphrase")) {
      throw invalid(`targetIds: restic cannot use the private key of ${name}, because it has a passphrase`);
    }
  }
}

const invalid = (message: string) => new DomainError("INVALID_INPUT", message);
