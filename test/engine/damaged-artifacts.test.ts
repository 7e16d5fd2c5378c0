import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { VerifyJob } from "../../agent-cli/pipeline/verify/finding.ts";
import { runVerification } from "../../agent-cli/pipeline/verify/verify.ts";
import { world } from "./world.ts";

const folder = join(import.meta.dirname, "../fixtures/artifacts");
const facts = JSON.parse(readFileSync(join(folder, "facts.json"), "utf8"));
const unknown = { expected: { sha256: null, sizeBytes: null } };

/** A restore of a kept artifact; what the master knows is of the sound one, whichever is read. */
function prepared(name: string) {
  const w = world();
  w.storage.objects.set(name, readFileSync(join(folder, name)));
  const encrypted = name.endsWith(".age");
  const { sha256, sizeBytes, archiveIndex } = encrypted ? facts.sealed : facts.good;
  const identities = (key: string) => ({ origin: "identity.txt", keys: [key], readableByOthers: false });
  const job = {
    key: name,
    compression: name.endsWith(".tar") ? ("none" as const) : ("zstd" as const),
    identities: encrypted ? identities(facts.identity) : null,
  };
  const known = { expected: { sha256, sizeBytes }, archiveIndex };
  const restore = async (change: object) => {
    await w.restore({ conflict: "overwrite", ...job, ...change });
    return "restored";
  };
  const verify = async (change: Pick<VerifyJob, "expected"> & Partial<VerifyJob>) => {
    const { signal } = new AbortController();
    const where = { source: w.files(), storage: w.storage, workDir: w.workDir(), report: w.report, signal };
    const { checks } = await runVerification({ grade: 4, ...where, ...job, ...change });
    return checks.map(({ grade, outcome, detail }) => `${grade} ${outcome}: ${detail}`);
  };
  const hashOnly = { expected: { sha256, sizeBytes: null } };
  return { ...w, restore, verify, known, hashOnly, identities };
}

/** Each artifact, and what is said of it when the master knows all, when it knows only the hash, and when nothing is known. */
const reports: [name: string, known: string, hashOnly: string, unknown: string][] = [
  [
    "cut-between-frames.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "the archive stops before its end",
  ],
  [
    "cut-in-a-frame.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "it is cut off in the middle of a zstd frame",
  ],
  [
    "cut-in-the-age-header.tar.zst.age",
    "its size is not the 40186 bytes that were stored",
    "it is cut off in its age header",
    "it is cut off in its age header",
  ],
  [
    "cut-in-the-age-payload.tar.zst.age",
    "its size is not the 40186 bytes that were stored",
    "chunk 1 of its encryption was altered, or is cut off",
    "chunk 1 of its encryption was altered, or is cut off",
  ],
  [
    "cut-in-the-index.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "it is cut off in the middle of a zstd frame",
  ],
  [
    "cut-in-the-tar.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "the archive stops before its end",
  ],
  [
    "empty.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "it is empty",
  ],
  [
    "flipped-in-a-frame.tar.zst",
    "its SHA-256 is not the one that was recorded",
    "its SHA-256 is not the one that was recorded",
    "zstd: Restored data doesn't match checksum",
  ],
  [
    "flipped-in-the-age-payload.tar.zst.age",
    "chunk 1 of its encryption was altered, or is cut off",
    "chunk 1 of its encryption was altered, or is cut off",
    "chunk 1 of its encryption was altered, or is cut off",
  ],
  [
    "flipped-in-the-index.tar.zst",
    "its index is not the one that was recorded",
    "its SHA-256 is not the one that was recorded",
    "its index: ZSTD_error_checksum_wrong",
  ],
  [
    "flipped-tar-header.tar",
    "its size is not the 39986 bytes that were stored",
    "a header's checksum is wrong",
    "a header's checksum is wrong",
  ],
  [
    "of-another-record.tar.zst",
    "its size is not the 39986 bytes that were stored",
    "its SHA-256 is not the one that was recorded",
    "restored",
  ],
  [
    "reordered-frames.tar.zst",
    "its SHA-256 is not the one that was recorded",
    "its SHA-256 is not the one that was recorded",
    "a header has an impossible number",
  ],
];

describe("a kept artifact", () => {
  it.each(reports)("%s is refused in these words, and nothing is written", async (name, ...words) => {
    const w = prepared(name);
    const said: string[] = [];
    for (const change of [w.known, w.hashOnly, unknown]) {
      said.push(await w.restore(change).catch((error: Error) => error.message));
    }
    expect(said).toEqual(
      words.map((text) => (text === "restored" ? text : `the backup is damaged: ${text}`)),
    );
    if (!said.includes("restored")) expect(existsSync(w.destination)).toBe(false);
  });

  it.each(["good.tar.zst", "good.tar.zst.age"])("%s is restored", async (name) => {
    const w = prepared(name);
    await w.restore(w.known);
    const root = join(w.destination, facts.root);
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(["a.bin", "sub", "sub/b.bin", "sub/c.txt"]);
  });

  it.each([
    ["cut-in-the-index.tar.zst", "it is cut off: 39976 bytes of its 39986 packed ones are there"],
    ["cut-between-frames.tar.zst", "it is cut off: 12551 bytes of its 39986 packed ones are there"],
    ["empty.tar.zst", "it is cut off: 0 bytes of its 39986 packed ones are there"],
    ["cut-in-the-age-payload.tar.zst.age", "it is cut off: 19986 bytes of its 39986 packed ones are there"],
    ["of-another-record.tar.zst", "its index is not the one that was recorded"],
  ])("%s of which nobody noted the size is told by where its index ended", async (name, words) => {
    const w = prepared(name);
    const { archiveIndex, expected } = w.known;
    const [size, hash, opened] = await w.verify({ archiveIndex, ...w.hashOnly });
    const { length } = readFileSync(join(folder, name));
    expect(size).toBe(`1 not_checked: it is there with ${length} bytes, but its size was never recorded`);
    expect(hash).toMatch(new RegExp(`^2 damaged: its SHA-256 is .*, and ${expected.sha256} was recorded$`));
    expect(opened).toBe(`3 damaged: the backup is damaged: ${words}`);
    await expect(w.restore({ archiveIndex, ...w.hashOnly })).rejects.toThrow(words);
    expect(existsSync(w.destination)).toBe(false);
  });

  it("for another key is refused in words, and nothing is written", async () => {
    const w = prepared("good.tar.zst.age");
    const wrong = { ...w.known, identities: w.identities(facts.stranger) };
    const words =
      "no identity in identity.txt opens this backup: it was encrypted to 1 recipient (1 of type X25519), all to other keys, or its header was altered";
    await expect(w.restore(wrong)).rejects.toThrow(words);
    expect(existsSync(w.destination)).toBe(false);
  });

  it.each(["flipped-in-a-frame.tar.zst", "of-another-record.tar.zst", "reordered-frames.tar.zst"])(
    "%s gives no file by a selected restore that is not what the index has the hash of",
    async (name) => {
      const w = prepared(name);
      const selectedPaths = [join(facts.root, "sub", "b.bin")];
      const { archiveIndex } = w.known;
      const expected = { sha256: null, sizeBytes: null };
      await expect(w.restore({ selectedPaths, archiveIndex, expected })).rejects.toThrow(
        "the backup is damaged",
      );
      const left = existsSync(w.destination) ? readdirSync(w.destination, { recursive: true }) : [];
      expect(left.filter((path) => /b\.bin|\.backupx/.test(String(path)))).toEqual([]);
    },
  );

  it.each(reports)(
    "%s is reported by a verification, at the grade where it shows",
    async (name, known, _, opened) => {
      const w = prepared(name);
      const bytes = readFileSync(join(folder, name));
      const hash = createHash("sha256").update(bytes).digest("hex");
      const { sha256, sizeBytes } = w.known.expected;
      const isOfAnotherSize = bytes.length !== sizeBytes;
      // The master also knows the hash of the index, and what is said of that comes before what opening would say.
      const inside = known.startsWith("its index") ? known : opened;
      expect(await w.verify(w.known)).toEqual(
        isOfAnotherSize
          ? [`1 damaged: it has ${bytes.length} bytes, and ${sizeBytes} were stored`]
          : [
              `1 passed: it is there with its ${bytes.length} bytes`,
              `2 damaged: its SHA-256 is ${hash}, and ${sha256} was recorded`,
              `3 damaged: the backup is damaged: ${inside}`,
            ],
      );
      const alone = await w.verify({ expected: { sha256: null, sizeBytes: bytes.length } });
      expect(alone).toEqual([
        `1 passed: it is there with its ${bytes.length} bytes`,
        `2 not_checked: its SHA-256 is ${hash}, but none was ever recorded`,
        ...(opened === "restored"
          ? [
              "3 passed: it was read to its end: 5 entries, 39012 bytes, as its index has them",
              "4 passed: restored, all 5 entries are as the backup has them",
            ]
          : [`3 damaged: the backup is damaged: ${opened}`]),
      ]);
      expect(
        readdirSync(w.root).flatMap((entry) =>
          entry.startsWith("work") ? readdirSync(join(w.root, entry)) : [],
        ),
      ).toEqual([]);
    },
  );

  it("for another key is told by a verification as what it cannot look at", async () => {
    const w = prepared("good.tar.zst.age");
    const [, hashed, opened] = await w.verify({ ...w.known, identities: w.identities(facts.stranger) });
    expect(hashed).toMatch(/^2 passed: its 40186 bytes have the SHA-256 that was recorded$/);
    expect(opened).toMatch(/^3 not_checked: no identity in identity\.txt opens this backup: /);
  });

  it("none was forgotten here", () => {
    const named = [...reports.map(([name]) => name), "good.tar.zst", "good.tar.zst.age", "facts.json"];
    expect(readdirSync(folder).sort()).toEqual(named.sort());
  });
});
