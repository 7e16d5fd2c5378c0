import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, test } from "vitest";
import { makeHeader } from "../../agent-cli/pipeline/age-header.ts";
import { sealRun } from "../../agent-cli/pipeline/age-payload.ts";
import { artifactExtension } from "../../agent-cli/pipeline/backup.ts";
import { DamagedArtifact } from "../../agent-cli/pipeline/damaged.ts";
import { decrypt, NoIdentityFits } from "../../agent-cli/pipeline/decrypt.ts";
import { encrypt } from "../../agent-cli/pipeline/encrypt.ts";
import { type Identities, readIdentities } from "../../agent-cli/pipeline/identities.ts";
import { describeWith } from "../needs.ts";
import { expectSameTree, key, run, scratch, world } from "./world.ts";

const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 5_000_001];
const sealedChunk = 65_536 + 16;

type Pair = { identity: string; recipient: string };

async function newPair(): Promise<Pair> {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

const holding = (...pairs: Pair[]): Identities => ({
  origin: "the test's file",
  keys: pairs.map(({ identity }) => identity),
  readableByOthers: false,
});

let seed = 7;
/** The same numbers in every run, so that a failure can be had again. */
function random(below: number): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed % below;
}
function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i += 1) bytes[i] = random(256);
  return bytes;
}

async function* inPieces(content: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function sealed(content: Buffer, recipients: Pair[], pieceBytes = 70_001): Promise<Buffer> {
  const header = makeHeader(recipients.map(({ recipient }) => recipient));
  return collect(encrypt(inPieces(content, pieceBytes), header, async (run) => sealRun(run)));
}

const opened = (file: Buffer, identities: Identities, pieceBytes = 50_000) =>
  collect(decrypt(inPieces(file, pieceBytes), identities));

/** Where the header ends and where the payload's chunks begin. */
function anatomy(file: Buffer): { header: number; chunks: number } {
  const header = file.indexOf("\n", file.indexOf("\n--- ") + 1) + 1;
  return { header, chunks: header + 16 };
}

test("what is encrypted comes back the same, whatever its size and however it is cut into pieces", async () => {
  const pair = await newPair();
  for (const size of sizes) {
    const content = noise(size);
    for (const pieceBytes of [1000, 65_536, 1_000_000]) {
      const file = await sealed(content, [pair], pieceBytes);
      expect(file.includes(content.subarray(0, 32)) && size >= 32, `${size}`).toBe(false);
      expect((await opened(file, holding(pair), pieceBytes)).equals(content), `${size}/${pieceBytes}`).toBe(
        true,
      );
    }
  }
});

test("another implementation opens ours, and ours opens what it made", async () => {
  const pair = await newPair();
  for (const size of sizes) {
    const content = noise(size);
    const decrypter = new Decrypter();
    decrypter.addIdentity(pair.identity);
    expect(content.equals(await decrypter.decrypt(await sealed(content, [pair])))).toBe(true);
    const encrypter = new Encrypter();
    encrypter.addRecipient(pair.recipient);
    const theirs = Buffer.from(await encrypter.encrypt(content));
    expect((await opened(theirs, holding(pair))).equals(content), `${size}`).toBe(true);
  }
});

test("each of several recipients opens it alone, and every file has a key of its own", async () => {
  const [operator, recovery] = [await newPair(), await newPair()];
  const content = noise(200_000);
  const file = await sealed(content, [operator, recovery]);
  for (const pair of [operator, recovery])
    expect((await opened(file, holding(pair))).equals(content)).toBe(true);
  const again = await sealed(content, [operator, recovery]);
  const { chunks } = anatomy(file);
  expect(again.subarray(chunks).equals(file.subarray(chunks))).toBe(false);
});

test("a key that it was not encrypted to opens nothing, and the error names types and no keys", async () => {
  const [owner, stranger] = [await newPair(), await newPair()];
  const file = await sealed(noise(100), [owner, await newPair()]);
  const error = await opened(file, holding(stranger)).catch((thrown: Error) => thrown);
  expect(error).toBeInstanceOf(NoIdentityFits);
  const { message } = error as Error;
  expect(message).toContain("the test's file");
  expect(message).toContain("2 recipients (2 of type X25519)");
  expect(message).not.toMatch(/AGE-SECRET|age1/i);
});

test("a file that is cut off anywhere is refused, and what came before the cut is authentic", async () => {
  const pair = await newPair();
  const content = noise(3 * 65_536 + 100);
  const file = await sealed(content, [pair]);
  const { header, chunks } = anatomy(file);
  const borders = [1, 2, 3].map((count) => chunks + count * sealedChunk);
  const cuts = [
    0,
    1,
    10,
    header - 1,
    header,
    header + 1,
    chunks - 1,
    chunks,
    chunks + 1,
    chunks + 15,
    chunks + 16,
  ];
  for (const border of borders) cuts.push(border - 1, border, border + 1, border + 16, border + 17);
  cuts.push(file.length - 1, ...Array.from({ length: 20 }, () => random(file.length)));
  for (const cut of cuts) {
    const got: Uint8Array[] = [];
    const reading = async () => {
      for await (const chunk of decrypt(inPieces(file.subarray(0, cut), 30_000), holding(pair)))
        got.push(chunk);
    };
    await expect(reading(), `cut at ${cut}`).rejects.toThrow(DamagedArtifact);
    const before = Buffer.concat(got);
    expect(before.equals(content.subarray(0, before.length)), `cut at ${cut}`).toBe(true);
  }
  for (const border of borders) {
    const cut = opened(file.subarray(0, border), holding(pair));
    await expect(cut).rejects.toThrow(/it is cut off after chunk [123] of its encryption/);
  }
});

test("a flipped bit anywhere is refused", async () => {
  const pair = await newPair();
  const file = await sealed(noise(2 * 65_536 + 1000), [pair, await newPair()]);
  const { header, chunks } = anatomy(file);
  const places = [
    ...Array.from({ length: header }, (_, i) => i),
    ...Array.from({ length: 16 }, (_, i) => header + i),
    chunks,
    chunks + sealedChunk - 1,
    chunks + sealedChunk,
    file.length - 1,
    ...Array.from({ length: 40 }, () => random(file.length)),
  ];
  for (const at of places) {
    const bad = Buffer.from(file);
    bad[at] = (bad[at] as number) ^ (1 << random(8));
    const error = await opened(bad, holding(pair)).catch((thrown: Error) => thrown);
    // An altered header may look like one for other people.
    const refused = error instanceof DamagedArtifact || (at < header && error instanceof NoIdentityFits);
    expect(refused, `byte ${at}: ${error}`).toBe(true);
  }
});

test("chunks that were swapped, doubled, left out, appended or taken from another file are refused", async () => {
  const pair = await newPair();
  const file = await sealed(noise(4 * 65_536), [pair]);
  const other = await sealed(noise(4 * 65_536), [pair]);
  const { chunks } = anatomy(file);
  const head = file.subarray(0, chunks);
  const [a, b, c, d] = [0, 1, 2, 3].map((i) =>
    file.subarray(chunks + i * sealedChunk, chunks + (i + 1) * sealedChunk),
  ) as [Buffer, Buffer, Buffer, Buffer];
  const foreign = other.subarray(anatomy(other).chunks).subarray(0, sealedChunk);
  const mixtures: [string, Buffer[], RegExp][] = [
    ["swapped", [head, b, a, c, d], /chunk 1 of its encryption was altered, or is not in its place/],
    ["doubled", [head, a, b, b, c, d], /chunk 3/],
    ["left out", [head, a, c, d], /chunk 2/],
    ["first left out", [head, b, c, d], /chunk 1/],
    [
      "appended",
      [file, Buffer.from("more")],
      /there is data after chunk 4 of its encryption, which is its last/,
    ],
    ["itself appended", [file, file], /there is data after chunk 4/],
    ["foreign", [head, foreign, b, c, d], /chunk 1/],
    ["another header", [other.subarray(0, anatomy(other).chunks), a, b, c, d], /chunk 1/],
  ];
  for (const [name, parts, reason] of mixtures) {
    const error = await opened(Buffer.concat(parts), holding(pair)).catch((thrown: Error) => thrown);
    expect(error, name).toBeInstanceOf(DamagedArtifact);
    expect((error as Error).message, name).toMatch(reason);
  }
});

test("a header that never ends, or that is none, is refused without reading on", async () => {
  const pair = await newPair();
  let read = 0;
  async function* endless() {
    yield Buffer.from("age-encryption.org/v1\n");
    for (;;) {
      read += 60_000;
      yield Buffer.alloc(60_000, 0x41);
    }
  }
  await expect(collect(decrypt(endless(), holding(pair)))).rejects.toThrow(DamagedArtifact);
  expect(read).toBeLessThan(200_000);
  await expect(opened(Buffer.from("<html>not found</html>"), holding(pair))).rejects.toThrow(DamagedArtifact);
});

test("what is not a public key is refused before anything is read, and never repeated", async () => {
  const { recipient, identity } = await newPair();
  const last = recipient.endsWith("q") ? "p" : "q";
  const { backup, storage, logs } = world();
  for (const wrong of [`${recipient.slice(0, -1)}${last}`, recipient.toUpperCase(), identity, "age1", ""]) {
    const encryption = { recipients: [recipient, wrong] };
    const error = await backup({ pipeline: pipeline("zstd", encryption) }).catch((thrown: Error) => thrown);
    expect(String(error)).toContain("recipient 2 is not an age public key");
    if (wrong !== "" && wrong !== "age1") expect(`${error}${logs}`).not.toContain(wrong);
  }
  expect(storage.objects.size).toBe(0);
});

const pipeline = (
  compression: "zstd" | "gzip" | "none",
  encryption: { recipients: string[] } | null,
  level: number | null = null,
) => ({ compression, level, encryption });

describe.each(["zstd", "gzip", "none"] as const)("an encrypted backup (%s)", (compression) => {
  const fill = (source: string) => {
    mkdirSync(join(source, "sub"));
    writeFileSync(join(source, "a.txt"), "PLAINTEXT MARKER ".repeat(100));
    // More than two slabs, so that buffers are used again while their content is being encrypted.
    writeFileSync(join(source, "sub", "b.bin"), noise(9_500_000));
    for (let i = 0; i < 300; i += 1) writeFileSync(join(source, "sub", `${i}`), `${i}\n`.repeat(i * 40));
  };

  // Up to two packers, the thread that feeds them seals, too; for more there is one that does nothing else.
  test.each([2, 4])("restores byte for byte, and nothing can be read in it (%i packers)", async (threads) => {
    const pair = await newPair();
    const { source, restored, storage, backup, restore } = world();
    fill(source);
    const expected = await backup({
      pipeline: { ...pipeline(compression, { recipients: [pair.recipient] }), threads },
    });
    const stored = storage.objects.get(key) as Buffer;
    expect(stored.subarray(0, 22).toString()).toBe("age-encryption.org/v1\n");
    expect(stored.includes("PLAINTEXT MARKER")).toBe(false);
    await restore({ compression, expected, identities: holding(pair) });
    expectSameTree(restored(), source);
  });

  test("writes nothing at all without its key, when cut at a chunk's border, or when altered", async () => {
    const pair = await newPair();
    const { source, destination, storage, backup, restore } = world();
    fill(source);
    const expected = await backup({ pipeline: pipeline(compression, { recipients: [pair.recipient] }) });
    await expect(restore({ compression, expected, identities: holding(await newPair()) })).rejects.toThrow(
      NoIdentityFits,
    );
    if (compression !== "none") {
      await expect(restore({ compression, expected })).rejects.toThrow(DamagedArtifact);
    }
    const good = storage.objects.get(key) as Buffer;
    const cut = anatomy(good).chunks + 40 * sealedChunk;
    const altered = Buffer.from(good);
    altered[cut + 5] = (altered[cut + 5] as number) ^ 1;
    for (const bad of [good.subarray(0, cut), altered]) {
      storage.objects.set(key, bad);
      for (const known of [expected, { sha256: null, sizeBytes: null }]) {
        const refused = restore({ compression, expected: known, identities: holding(pair) });
        await expect(refused).rejects.toThrow(DamagedArtifact);
      }
    }
    expect(existsSync(destination)).toBe(false);
  });
});

test("frames have zstd's checksum wherever age and the index do not make up for it", async () => {
  const pair = await newPair();
  const { source, root, storage, backup } = world();
  writeFileSync(join(source, "a.txt"), "content");
  const database = join(root, "a.db");
  new DatabaseSync(database).exec("create table t (x)");
  const encryption = { recipients: [pair.recipient] };
  const hasChecksum = async (settings: Parameters<typeof backup>[0]) => {
    await backup(settings);
    const stored = storage.objects.get(key) as Buffer;
    const isSealed = stored.subarray(0, 3).toString() === "age";
    const packed = isSealed ? await opened(stored, holding(pair)) : stored;
    return (packed.readUInt8(4) & 0x04) !== 0;
  };
  const dump = { type: "sqlite" as const, paths: [database] };
  expect(await hasChecksum({})).toBe(true);
  expect(await hasChecksum({ pipeline: pipeline("zstd", null) })).toBe(true);
  expect(await hasChecksum({ pipeline: pipeline("zstd", encryption) })).toBe(false);
  expect(await hasChecksum({ pipeline: pipeline("zstd", encryption), source: dump })).toBe(true);
});

test("an artifact's name says that it is encrypted", () => {
  const files = { type: "file", paths: ["/etc"], excludes: [], oneFileSystem: false } as const;
  expect(artifactExtension({ ...files, paths: [], excludes: [] }, "zstd", true)).toBe(".tar.zst.age");
  expect(artifactExtension({ type: "sqlite", paths: ["/a.db"] }, "none", true)).toBe(".sqlite.age");
});

test("an identity file may hold several keys, comments and empty lines", async () => {
  const [first, second] = [await newPair(), await newPair()];
  const file = join(scratch(), "keys.txt");
  writeFileSync(
    file,
    `# created: today\n# public key: ${first.recipient}\n${first.identity}\n\n${second.identity}\r\n`,
  );
  const keys = [first.identity, second.identity];
  expect(readIdentities(file)).toEqual({ origin: file, keys, readableByOthers: true });
  chmodSync(file, 0o600);
  expect(readIdentities(file).readableByOthers).toBe(false);
});

test("an identity file that is none is refused in words that repeat nothing of it", async () => {
  const { identity, recipient } = await newPair();
  const folder = scratch();
  const file = join(folder, "keys.txt");
  const broken = `${identity.slice(0, -1)}${identity.endsWith("Q") ? "P" : "Q"}`;
  const cases: [string, RegExp][] = [
    ["", /there is no identity in it/],
    ["# only a comment\n", /there is no identity in it/],
    [`# comment\n${broken}\n`, /line 2 is not an age identity/],
    [recipient, /line 1 is not an age identity/],
    ["root:x:0:0:secret words\n", /line 1 is not an age identity/],
    ["age-encryption.org/v1\n-> scrypt abc 18\n", /passphrase/],
    ["-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", /passphrase/],
    ["A".repeat(100_000), /too large/],
  ];
  for (const [content, reason] of cases) {
    writeFileSync(file, content);
    const refused = () => readIdentities(file);
    expect(refused).toThrow(reason);
    expect(refused).not.toThrow(/secret words|SECRET-KEY|AAAA/);
  }
  expect(() => readIdentities(join(folder, "nothing"))).toThrow(/ENOENT/);
  expect(() => readIdentities(folder)).toThrow(/not a file/);
  run("mkfifo", [join(folder, "pipe")]);
  expect(() => readIdentities(join(folder, "pipe"))).toThrow(/not a file/);
});

describeWith(["age", "age-keygen"], "the age program", () => {
  test("opens what we encrypt, and we open what it encrypts, of any size", () => {
    const folder = scratch();
    const [keys, plain, file] = [join(folder, "key.txt"), join(folder, "plain"), join(folder, "plain.age")];
    run("age-keygen", ["-o", keys]);
    const recipient = run("age-keygen", ["-y", keys]).toString().trim();
    return checkBothWays(recipient, { keys, plain, file });
  });

  test("unpacks an encrypted backup together with zstd and tar, without us", async () => {
    const { root, source, backup, storage } = world();
    const keys = join(root, "key.txt");
    run("age-keygen", ["-o", keys]);
    const recipient = run("age-keygen", ["-y", keys]).toString().trim();
    const other = await newPair();
    writeFileSync(join(source, "data.bin"), noise(700_000));
    chmodSync(join(source, "data.bin"), 0o640);
    await backup({ pipeline: pipeline("zstd", { recipients: [other.recipient, recipient] }) });
    const artifact = join(root, "x.tar.zst.age");
    const back = join(root, "back");
    mkdirSync(back);
    writeFileSync(artifact, storage.objects.get(key) as Buffer);
    run("sh", ["-c", 'age -d -i "$0" "$1" | zstd -d | tar -x -C "$2"', keys, artifact, back]);
    expectSameTree(join(back, source), source);
  });

  async function checkBothWays(
    recipient: string,
    { keys, plain, file }: Record<"keys" | "plain" | "file", string>,
  ) {
    const identities = readIdentities(keys);
    const pair = { identity: "", recipient };
    for (const size of sizes) {
      const content = noise(size);
      writeFileSync(file, await sealed(content, [await newPair(), pair]));
      expect(run("age", ["-d", "-i", keys, file]).equals(content), `ours, ${size}`).toBe(true);
      writeFileSync(plain, content);
      run("age", ["-r", recipient, "-o", `${file}.${size}`, plain]);
      const back = await opened(readFileSync(`${file}.${size}`), identities);
      expect(back.equals(content), `theirs, ${size}`).toBe(true);
    }
  }
});
