import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Decrypter } from "age-encryption";
import { errorCode } from "./error-code.ts";

const maxFileBytes = 64 * 1024;

/** Private keys that may open an encrypted backup, and the file they come from, for messages. */
export type Identities = { origin: string; keys: string[]; readableByOthers: boolean };

/** Reads an identity file as `age-keygen` and our `keygen` write it. No error repeats anything of its content. */
export function readIdentities(file: string): Identities {
  const { text: content, readableByOthers } = readSmallFile(file);
  const lines = content.split(/\r?\n/);
  if (/^(age-encryption\.org\/|-----BEGIN AGE)/.test(lines[0] ?? ""))
    throw new Error(`identity file ${file}: it is protected by a passphrase, which nobody is here to enter`);
  const keys = lines.flatMap((text, i) => {
    const line = text.trim();
    if (line === "" || line.startsWith("#")) return [];
    if (!isIdentity(line)) throw new Error(`identity file ${file}: line ${i + 1} is not an age identity`);
    return [line];
  });
  if (keys.length === 0) throw new Error(`identity file ${file}: there is no identity in it`);
  return { origin: file, keys, readableByOthers };
}

/** A file that is one: never a pipe or a device, which could be endless or wait for ever. */
function readSmallFile(file: string): { text: string; readableByOthers: boolean } {
  let fd: number | null = null;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error("it is not a file");
    if (stat.size > maxFileBytes) throw new Error("it is too large to be one");
    const buffer = Buffer.alloc(maxFileBytes);
    const text = buffer.toString("utf8", 0, readSync(fd, buffer));
    return { text, readableByOthers: (stat.mode & 0o077) !== 0 && process.platform !== "win32" };
  } catch (error) {
    throw new Error(`identity file ${file}: ${errorCode(error)}`);
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

function isIdentity(line: string): boolean {
  try {
    new Decrypter().addIdentity(line);
    return true;
  } catch {
    return false;
  }
}
