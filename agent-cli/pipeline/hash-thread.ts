import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { FileToHash, FromHasher } from "./hash-file.ts";

/** A thread that hashes one open file from its beginning to its end. */
const pieceBytes = 1024 * 1024;
const piecesBetweenReports = 16;

if (parentPort) parentPort.postMessage(hashOf(workerData as FileToHash));

function hashOf({ fd }: FileToHash): FromHasher {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafeSlow(pieceBytes);
  let bytes = 0;
  for (let pieces = 1; ; pieces += 1) {
    const read = readSync(fd, piece, 0, pieceBytes, bytes);
    if (read === 0) return { bytes, sha256: hash.digest("hex") };
    hash.update(piece.subarray(0, read));
    bytes += read;
    if (pieces % piecesBetweenReports === 0) parentPort?.postMessage({ bytes, sha256: null });
  }
}
