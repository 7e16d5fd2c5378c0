import { StorageError } from "./storage.ts";

/** S3 takes 1,024 bytes; the rest is left for a target's prefix. */
const maxKeyBytes = 900;
/** File systems take 255 bytes; the rest is left for the suffix of a file that is still being written. */
const maxSegmentBytes = 230;
const partialSuffix = /\.partial-[0-9a-f]{16}$/;

/** Refuses a key that could leave its place, or that some storage could not hold; gives the same key back. */
export function checkKey(key: string): string {
  const fault = faultOf(key) ?? key.split("/").map(faultOfSegment).find(Boolean);
  if (fault) throw invalidKey(key, fault);
  return key;
}

/** The same for the beginning of a key, which may be empty and may end anywhere in a segment. */
export function checkPrefix(prefix: string): string {
  if (prefix === "") return prefix;
  const whole = prefix.split("/").slice(0, -1);
  const fault = faultOf(prefix) ?? whole.map(faultOfSegment).find(Boolean);
  if (fault) throw invalidKey(prefix, fault);
  return prefix;
}

/** Name of the file that holds a put's bytes until they are complete. `random` is 16 hexadecimal digits. */
export const partialName = (name: string, random: string): string => `${name}.partial-${random}`;

/** Whether a file name is one that `partialName` makes, for `ofName` if that is given. */
export function isPartialName(fileName: string, ofName?: string): boolean {
  const match = partialSuffix.exec(fileName);
  return match !== null && (ofName === undefined || fileName.slice(0, match.index) === ofName);
}

function faultOf(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (key.startsWith("/")) return "it begins with a slash";
  if (!key.isWellFormed()) return "it is not valid Unicode";
  if (Buffer.byteLength(key) > maxKeyBytes) return `it is longer than ${maxKeyBytes} bytes`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
  if (/[\u0000-\u001f\u007f]/.test(key)) return "it holds a control character";
  // On Windows a backslash separates directories, so it could climb out like a slash.
  if (key.includes("\\")) return "it holds a backslash";
  return undefined;
}

function faultOfSegment(segment: string): string | undefined {
  if (segment === "") return "it has an empty segment";
  if (segment === "." || segment === "..") return `it has the segment "${segment}"`;
  if (Buffer.byteLength(segment) > maxSegmentBytes)
    return `it has a segment longer than ${maxSegmentBytes} bytes`;
  if (isPartialName(segment)) return "its end is reserved for unfinished files";
  return undefined;
}

const invalidKey = (key: string, fault: string) =>
  new StorageError("invalid", `storage key ${JSON.stringify(key.slice(0, 200))} cannot be used: ${fault}`);
