import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirOf } from "./repository.ts";

const maxCacheBytes = 1024 * 1024 * 1024;
/** What was used this recently may be in use now. */
const inUseMs = 3_600_000;

/**
 * Keeps restic's cache on this node bounded: of the repositories that were not used lately, those unused for the longest
 * time lose theirs first. restic fetches again what it misses.
 */
export async function trimCache(stateDir: string, maxBytes = maxCacheBytes): Promise<void> {
  const root = cacheDirOf(stateDir);
  const names = await readdir(root).catch(() => []);
  const caches = await Promise.all(
    names
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map(async (name) => ({ path: join(root, name), ...(await sizeOf(join(root, name))) })),
  );
  let bytes = caches.reduce((sum, cache) => sum + cache.bytes, 0);
  for (const cache of caches.sort((a, b) => a.usedAt - b.usedAt)) {
    if (bytes <= maxBytes || Date.now() - cache.usedAt < inUseMs) return;
    await rm(cache.path, { recursive: true, force: true });
    bytes -= cache.bytes;
  }
}

async function sizeOf(folder: string): Promise<{ bytes: number; usedAt: number }> {
  const { mtimeMs } = await lstat(folder);
  let bytes = 0;
  let usedAt = mtimeMs;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const found = await lstat(join(entry.parentPath, entry.name)).catch(() => null);
    if (!found) continue;
    usedAt = Math.max(usedAt, found.mtimeMs);
    if (found.isFile()) bytes += found.size;
  }
  return { bytes, usedAt };
}
