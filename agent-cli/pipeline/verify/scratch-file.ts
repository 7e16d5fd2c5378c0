import { open, rm } from "node:fs/promises";
import { requireRoom } from "./room.ts";

const roomStepBytes = 64 * 1024 * 1024;

/**
 * A file that one content after the other is written to, so that a program can look at it. Throws `CannotCheck` as soon as
 * the work directory has no room to spare.
 */
export class ScratchFile {
  readonly #workDir: string;
  #file: Awaited<ReturnType<typeof open>> | null = null;
  #path: string | null = null;
  #sizeBytes = 0;

  constructor(workDir: string) {
    this.#workDir = workDir;
  }

  async begin(path: string): Promise<void> {
    this.#file = await open(path, "wx", 0o600);
    this.#path = path;
    this.#sizeBytes = 0;
    await requireRoom(this.#workDir, roomStepBytes, "opening it");
  }

  async write(bytes: Uint8Array): Promise<void> {
    const before = Math.floor(this.#sizeBytes / roomStepBytes);
    this.#sizeBytes += bytes.length;
    if (Math.floor(this.#sizeBytes / roomStepBytes) !== before) {
      await requireRoom(this.#workDir, roomStepBytes, "opening it");
    }
    await this.#file?.writeFile(bytes);
  }

  /** Closes it and tells its size in bytes. */
  async end(): Promise<number> {
    await this.#file?.close();
    this.#file = null;
    return this.#sizeBytes;
  }

  async remove(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    if (this.#path !== null) await rm(this.#path, { force: true });
    this.#path = null;
  }
}
