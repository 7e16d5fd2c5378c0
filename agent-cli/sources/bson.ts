/** The smallest document: its length and its final zero. */
export const smallestDocument = 5;

/** MongoDB allows 200 levels; a document with more of them is none of its own. */
const maxDepth = 512;

/** How many bytes a value of a type has; those that begin with a length of their own are not here. */
const fixedBytes = new Int8Array(256).fill(-1);
for (const [type, bytes] of [
  [0x01, 8],
  [0x06, 0],
  [0x07, 12],
  [0x08, 1],
  [0x09, 8],
  [0x0a, 0],
  [0x10, 4],
  [0x11, 8],
  [0x12, 8],
  [0x13, 16],
  [0x7f, 0],
  [0xff, 0],
] as const)
  fixedBytes[type] = bytes;

type OnElement = (name: string, type: number, at: number) => void;

/** Throws with the place and the reason unless every length in a BSON document fits into what it stands in. */
export function requireBson(document: Buffer): void {
  walk(document, 0, document.length, 0, null);
}

/** Texts, numbers and truth values of a document's first level; everything else is left out. */
export function fieldsOf(document: Buffer): Map<string, string | boolean | bigint> {
  const fields = new Map<string, string | boolean | bigint>();
  walk(document, 0, document.length, 0, (name, type, at) => {
    if (type === 0x02) fields.set(name, document.toString("utf8", at + 4, at + 3 + document.readInt32LE(at)));
    else if (type === 0x08) fields.set(name, document[at] === 1);
    else if (type === 0x10) fields.set(name, BigInt(document.readInt32LE(at)));
    else if (type === 0x12) fields.set(name, document.readBigInt64LE(at));
  });
  return fields;
}

/** Goes through the document at `at`, which must end by `limit`, and returns where it ends. */
function walk(bytes: Buffer, at: number, limit: number, depth: number, onElement: OnElement | null): number {
  if (depth > maxDepth) throw new Error(`it is nested more than ${maxDepth} times`);
  const end = at + lengthAt(bytes, at, limit, smallestDocument);
  if (end > limit) throw unlike(at, "a document is longer than what it stands in");
  const last = end - 1;
  if (bytes[last] !== 0) throw unlike(last, "a document does not end with a zero");
  let here = at + 4;
  while (here < last) {
    const type = bytes[here] as number;
    const valueAt = textEnd(bytes, here + 1, last);
    const next = valueEnd(bytes, type, valueAt, last, depth);
    if (next > last) throw unlike(here, "an element is longer than its document");
    onElement?.(bytes.toString("utf8", here + 1, valueAt - 1), type, valueAt);
    here = next;
  }
  return end;
}

function valueEnd(bytes: Buffer, type: number, at: number, limit: number, depth: number): number {
  const fixed = fixedBytes[type] as number;
  if (fixed >= 0) return at + fixed;
  switch (type) {
    case 0x02:
    case 0x0d:
    case 0x0e:
      return stringEnd(bytes, at, limit);
    case 0x03:
    case 0x04:
      return walk(bytes, at, limit, depth + 1, null);
    case 0x05:
      return at + 5 + lengthAt(bytes, at, limit, 0);
    case 0x0b:
      return textEnd(bytes, textEnd(bytes, at, limit), limit);
    case 0x0c:
      return stringEnd(bytes, at, limit) + 12;
    case 0x0f:
      return codeEnd(bytes, at, limit, depth);
    default:
      throw unlike(at, `an element has the unknown type ${type}`);
  }
}

/** Code with the variables that it finds: both stand in a length of their own. */
function codeEnd(bytes: Buffer, at: number, limit: number, depth: number): number {
  const end = at + lengthAt(bytes, at, limit, 4);
  if (end > limit || walk(bytes, stringEnd(bytes, at + 4, end), end, depth + 1, null) !== end)
    throw unlike(at, "code has another length than its parts");
  return end;
}

function stringEnd(bytes: Buffer, at: number, limit: number): number {
  const end = at + 4 + lengthAt(bytes, at, limit, 1);
  if (end > limit) throw unlike(at, "a text is longer than its document");
  if (bytes[end - 1] !== 0) throw unlike(at, "a text does not end with a zero");
  return end;
}

/** Behind the zero of a text that has no length; most are names of a few characters. */
function textEnd(bytes: Buffer, at: number, limit: number): number {
  for (let here = at; here < limit; here += 1) if (bytes[here] === 0) return here + 1;
  throw unlike(at, "a name does not end");
}

function lengthAt(bytes: Buffer, at: number, limit: number, smallest: number): number {
  if (at + 4 > limit) throw unlike(at, "a length is cut off");
  const length = bytes.readInt32LE(at);
  if (length < smallest) throw unlike(at, `${length} is no length`);
  return length;
}

/** Places are told and no names or values: a report is read by more people than a backup. */
const unlike = (at: number, reason: string): Error => new Error(`at its byte ${at}, ${reason}`);
