import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import type { NetworkSettings } from "../network.ts";
import type { Reporter } from "../pipeline/pipeline.ts";
import { openStorage, type StorageEnv } from "../storage/open-storage.ts";
import type { Storage } from "../storage/storage.ts";
import { backendOf } from "./backends.ts";
import { type Repository, ResticError, runRestic } from "./program.ts";

/** Which repository: a target, the key in it that the repository's files are below, and what opens it. */
export type RepositoryAddress = {
  type: string;
  config: Record<string, unknown>;
  key: string;
  password: string;
};

/** What every use of restic needs of the job that it is part of. */
export type ResticJob = {
  /** A directory of this job alone, for files with secrets; its owner removes it. */
  workDir: string;
  stateDir: string;
  network: NetworkSettings;
  storages: StorageEnv;
  report: Reporter;
  /** Told whenever restic shows that it lives, where it tells no progress. */
  alive: () => void;
  signal: AbortSignal;
};

export type OpenedRepository = { repository: Repository; storage: Storage; key: string };

/** restic's copies of what a repository says of itself, one folder for each. */
export const cacheDirOf = (stateDir: string): string => join(stateDir, "restic", "cache");

/** Long enough for most of what another command holds a repository locked for. */
const lockPatienceMs = 10 * 60_000;
const longestWaitMs = 20_000;
/** What a job that was stopped has left to tidy up. */
const lastUnlockMs = 3_000;

/** Everything that commands on a repository need; nothing is asked of the target yet. */
export async function openRepository(
  { type, config, key, password }: RepositoryAddress,
  { workDir, stateDir, network, storages }: ResticJob,
): Promise<OpenedRepository> {
  const storage = await openStorage(type, config, storages);
  const folder = join(workDir, `restic-${randomBytes(8).toString("hex")}`);
  mkdirSync(folder, { mode: 0o700 });
  const backend = await backendOf(type, config, key, folder);
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const authorities = network.caCertFile === null ? null : writeAuthorities(folder);
  const repository: Repository = {
    location: backend.location,
    environment: {
      ...proxyOf(network),
      ...(authorities ? { RCLONE_CA_CERT: authorities } : {}),
      ...backend.environment,
      RESTIC_PASSWORD_FILE: passwordFile,
      RESTIC_CACHE_DIR: cacheDirOf(stateDir),
      RESTIC_PROGRESS_FPS: "2",
      TMPDIR: folder,
    },
    options: [
      ...backend.options,
      ...(authorities ? ["--cacert", authorities] : []),
      ...(storages.bucket ? limits(storages.bucket.bytesPerSecond) : []),
    ],
    secrets: [password, ...backend.secrets].filter(Boolean),
  };
  return { repository, storage, key };
}

/** In KiB per second, which is the least that restic knows. */
function limits(bytesPerSecond: number): string[] {
  const rate = String(Math.max(1, Math.floor(bytesPerSecond / 1024)));
  return ["--limit-upload", rate, "--limit-download", rate];
}

/** All authorities that this process trusts, for programs that trust either their own or those of one file. */
function writeAuthorities(folder: string): string {
  const file = join(folder, "authorities.pem");
  writeFileSync(file, tls.getCACertificates("default").join("\n"));
  return file;
}

/** The agent's proxy, or its environment's, by the names that programs look for. */
function proxyOf({ proxyUrl }: NetworkSettings): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [
    name,
    name.toUpperCase(),
  ]);
  const found = names.flatMap((name) => (process.env[name] ? [[name, process.env[name]] as const] : []));
  const ofSurroundings = Object.fromEntries(found) as Record<string, string>;
  return proxyUrl === null
    ? ofSurroundings
    : { ...ofSurroundings, HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl };
}

/**
 * Makes the repository unless it is there. `holdsBackups`: the master knows of backups in it, so one that is missing is
 * no reason to begin anew: its disk may not be mounted. Says whether it was made.
 */
export async function ensureRepository(
  { repository, storage, key }: OpenedRepository,
  holdsBackups: boolean,
  { signal, report }: ResticJob,
): Promise<boolean> {
  // By our own driver, whose words for a target that is down, full or closed are the same as with any backup.
  const config = await storage.stat(`${key}/config`, { signal });
  if (config !== null) return false;
  if (holdsBackups) {
    throw new ResticError(
      "missing",
      `there is no restic repository at ${repository.location} any more, though earlier backups are in it: is its place mounted? To begin anew, delete those backups first`,
    );
  }
  await storage.check({ signal });
  try {
    await runRestic(repository, ["init"], { signal });
  } catch (error) {
    // Somebody else was faster: theirs is as good if this password opens it, which the next command finds out.
    if (!(error instanceof ResticError) || !/already (exists|initialized)/.test(error.message)) throw error;
  }
  report.log("info", `made the restic repository ${repository.location}`);
  return true;
}

/**
 * Runs what needs a lock. A lock whose owner is gone is removed, as restic itself judges that; one that is in use is
 * waited for, though not for ever.
 */
export async function whenUnlocked<T>(
  repository: Repository,
  { signal, report, alive }: Pick<ResticJob, "signal" | "report" | "alive">,
  action: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + lockPatienceMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (signal.aborted)
        await runRestic(repository, ["unlock"], { signal: AbortSignal.timeout(lastUnlockMs) }).catch(
          () => {},
        );
      if (!(error instanceof ResticError) || error.fault !== "locked") throw error;
      if (performance.now() > deadline) throw stillLocked(error);
      alive();
      if (attempt === 1) report.log("warn", `${error.message}; waiting for it`);
      if (attempt > 0) await sleep(Math.min(longestWaitMs, 1000 * 2 ** attempt), undefined, { signal });
      if (await removeStaleLocks(repository, signal))
        report.log("info", "removed a lock that a dead process had left");
    }
  }
}

const stillLocked = ({ message }: ResticError) =>
  new ResticError(
    "locked",
    `${message}, for too long. If nothing works on it any more: restic unlock. A lock of another machine counts as left behind after 30 minutes`,
  );

/**
 * Says whether there were any, which restic 0.14 does not. It never removes a lock whose process lives, or may live on
 * another machine.
 */
async function removeStaleLocks(repository: Repository, signal: AbortSignal): Promise<boolean> {
  const before = await countLocks(repository, signal);
  await runRestic(repository, ["unlock"], { signal });
  return (await countLocks(repository, signal)) < before;
}

async function countLocks(repository: Repository, signal: AbortSignal): Promise<number> {
  let locks = 0;
  const onLine = (line: string) => {
    if (/^[0-9a-f]{64}$/.test(line)) locks += 1;
  };
  await runRestic(repository, ["list", "locks", "--no-lock"], { signal, onLine });
  return locks;
}
