import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The trees that benches pack; each is made below `root`, and its directory is the answer. */
export const trees = {
  /** Eight files of 256 MiB: half noise, half log lines. */
  large(root: string): string {
    const tree = made(root, "large");
    for (let i = 0; i < 8; i += 1) {
      const file = join(tree, `file-${i}.bin`);
      writeFileSync(file, "");
      for (let mib = 0; mib < 256; mib += 2) {
        appendFileSync(file, randomBytes(1 << 20));
        appendFileSync(file, logLines(i * 256 + mib, 1 << 20));
      }
    }
    return tree;
  },

  /** 100,000 files of 1 to 16 KB, seven of ten log lines and the rest noise, fifty to a directory. */
  small(root: string): string {
    const tree = made(root, "small");
    for (let i = 0; i < 100_000; i += 1) {
      const directory = join(tree, `d${Math.floor(i / 50)}`);
      if (i % 50 === 0) mkdirSync(directory);
      const size = 1000 + ((i * 7919) % 15_000);
      writeFileSync(join(directory, `file-${i}.log`), i % 10 < 3 ? randomBytes(size) : logLines(i, size));
    }
    return tree;
  },

  /** A copy of what this machine has under /usr, up to some 1.5 GB: programs, libraries, texts, links. */
  usr(root: string): string {
    const tree = made(root, "usr");
    const parts = ["share", "include", "libexec", "bin", "sbin", "lib/python3*", "lib/gcc", "lib/git-core"];
    const script = `for part in ${parts.join(" ")}; do [ ! -e "/usr/$part" ] || cp -a --parents "/usr/$part" "$0"; done`;
    const { status } = spawnSync("bash", ["-c", script.replaceAll('"/usr/$part"', "/usr/$part"), tree]);
    if (status !== 0) throw new Error("copying /usr failed; is the disk full?");
    return tree;
  },
};

export type TreeName = keyof typeof trees;

function made(root: string, name: string): string {
  const tree = join(root, name);
  mkdirSync(tree, { recursive: true });
  return tree;
}

/** Lines as a web server logs them; every line differs in some digits, as real ones do. */
function logLines(seed: number, bytes: number): Buffer {
  const lines: string[] = [];
  for (let size = 0, n = seed * 1_000_003; size < bytes; n += 1) {
    const mixed = Math.imul(n, 0x9e3779b1) >>> 0;
    const line = `2026-01-${(mixed % 28) + 1}T${mixed % 24}:${mixed % 60}:00Z info GET /api/items/${mixed % 99_991} 200 in ${mixed % 313} ms, user=${mixed.toString(36)}\n`;
    lines.push(line);
    size += line.length;
  }
  return Buffer.from(lines.join(""), "latin1").subarray(0, bytes);
}
