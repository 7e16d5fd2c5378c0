import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { DamagedArtifact } from "./damaged.ts";

/** Decodes gzip with any number of members. Bytes that are not gzip, wherever they stand, are damage. */
export async function* gunzipMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const fed = { bytes: 0, ended: false };
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  const feeding = pipeline(Readable.from(counted(source, fed), { objectMode: false }), gunzip);
  feeding.catch(() => {});
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    throw isZlibError(error) ? new DamagedArtifact(`gzip: ${error.message}`, { cause: error }) : error;
  }
  // The decoder ends without an error at the first byte behind a member that cannot begin another one.
  if (!fed.ended || gunzip.bytesWritten !== fed.bytes)
    throw new DamagedArtifact("there is data after the gzip stream");
  await feeding;
}

async function* counted(source: AsyncIterable<Uint8Array>, fed: { bytes: number; ended: boolean }) {
  for await (const chunk of source) {
    fed.bytes += chunk.length;
    yield chunk;
  }
  fed.ended = true;
}

const isZlibError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && /^Z_/.test(String((error as NodeJS.ErrnoException).code));
