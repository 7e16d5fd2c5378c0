import { createHash, randomUUID } from "node:crypto";
import { StorageError } from "../../agent-cli/storage/storage.ts";
import type { VaultClient } from "../../agent-cli/storage/vault.ts";

/** A fake of the master's vault calls, in memory, with the rules of R2: parts of one size, hashes checked. */
export type MemoryVault = {
  client: VaultClient;
  objects: Map<string, Buffer>;
  uploads: Map<string, { key: string; parts: Map<number, Buffer> }>;
  /** Called before a part is taken; may throw or wait. */
  onPart: (number: number) => void | Promise<void>;
  maxAtOnce: number;
};

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

export function memoryVault(partSizeBytes = 8 * 1024 * 1024): MemoryVault {
  let atOnce = 0;
  const vault: MemoryVault = {
    client: {} as VaultClient,
    objects: new Map(),
    uploads: new Map(),
    onPart: () => {},
    maxAtOnce: 0,
  };
  const uploadOf = (uploadId: string) => {
    const upload = vault.uploads.get(uploadId);
    if (!upload) throw new StorageError("not_found", "there is no such upload");
    return upload;
  };
  vault.client = {
    async begin(key) {
      const uploadId = randomUUID();
      vault.uploads.set(uploadId, { key, parts: new Map() });
      return { uploadId, partSizeBytes };
    },
    async part({ uploadId }, number, bytes, sha256Hex) {
      atOnce += 1;
      vault.maxAtOnce = Math.max(vault.maxAtOnce, atOnce);
      try {
        await vault.onPart(number);
        if (hashOf(bytes) !== sha256Hex) throw new StorageError("corrupt", "the part's hash differs");
        // A copy, and a late one: what the sender does to its buffer before the answer would show.
        await new Promise((resolve) => setImmediate(resolve));
        uploadOf(uploadId).parts.set(number, Buffer.from(bytes));
        return { etag: hashOf(bytes) };
      } finally {
        atOnce -= 1;
      }
    },
    async complete({ uploadId }, parts, total) {
      const upload = uploadOf(uploadId);
      const pieces = parts.map(({ number, etag }, index) => {
        const piece = upload.parts.get(number);
        if (!piece || number !== index + 1 || hashOf(piece) !== etag)
          throw new StorageError("invalid", "bad part");
        if (index < parts.length - 1 && piece.length !== partSizeBytes)
          throw new StorageError("invalid", "bad size");
        return piece;
      });
      const whole = Buffer.concat(pieces);
      if (whole.length !== total.sizeBytes || hashOf(whole) !== total.sha256) {
        throw new StorageError("corrupt", "the sum differs");
      }
      vault.objects.set(upload.key, whole);
      vault.uploads.delete(uploadId);
      return { sizeBytes: whole.length };
    },
    async abort({ uploadId }) {
      vault.uploads.delete(uploadId);
    },
    async open(key, range) {
      const bytes = vault.objects.get(key);
      if (!bytes) throw new StorageError("not_found", "there is no such object");
      if (range && range.offset + range.length > bytes.length)
        throw new StorageError("invalid", "beyond the end");
      return stream(range ? bytes.subarray(range.offset, range.offset + range.length) : bytes);
    },
    async stat(key) {
      const bytes = vault.objects.get(key);
      return bytes ? { sizeBytes: bytes.length } : null;
    },
    async check() {},
  };
  return vault;
}

async function* stream(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += 100_000)
    yield bytes.subarray(offset, offset + 100_000);
}
