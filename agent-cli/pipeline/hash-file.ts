import { Worker } from "node:worker_threads";
import { errorCode } from "./error-code.ts";
import { threadEntry } from "./thread-entry.ts";

export type FileToHash = { fd: number };
/** How far it has come; with the hash when it has come to the end. */
export type FromHasher = { bytes: number; sha256: string | null };

/** The size and SHA-256 of an open file, found in a thread of its own. Rejects with the signal's reason when it aborts. */
export async function hashFile(
  fd: number,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<{ bytes: number; sha256: string }> {
  signal.throwIfAborted();
  const worker = new Worker(threadEntry("hash-thread"), { workerData: { fd } satisfies FileToHash });
  let stop = () => {};
  try {
    return await new Promise((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      worker.on("message", ({ bytes, sha256 }: FromHasher) => {
        onBytes(bytes);
        if (sha256 !== null) resolve({ bytes, sha256 });
      });
      worker.on("error", (error) =>
        reject(new Error(`the backup could not be read: ${errorCode(error)}`, { cause: error })),
      );
      worker.on("exit", () => reject(new Error("the thread that hashes a file ended by itself")));
    });
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}
