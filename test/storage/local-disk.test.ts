import { spawnSync } from "node:child_process";
import { pbkdf2 } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { localDisk } from "../../agent-cli/storage/local-disk.ts";
import { collect, keysOf, MiB, oddChunks, randomData } from "./streams.ts";

const options = { signal: new AbortController().signal };
const isRoot = process.getuid?.() === 0;
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "disk-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));
const put = (key: string, bytes: Uint8Array, path = root) =>
  localDisk({ path }).put(key, oddChunks(bytes), options);
const nameOfOpen = (fd: string) => readlink(`/proc/self/fd/${fd}`).catch(() => null);
const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

describe("local disk", () => {
  it("keeps others out of what it makes", async () => {
    const path = join(root, "new");
    await put("a/b/c.bin", Buffer.from("x"), path);
    expect(await modeOf(path)).toBe(0o700);
    expect(await modeOf(join(path, "a"))).toBe(0o700);
    expect(await modeOf(join(path, "a/b"))).toBe(0o700);
    expect(await modeOf(join(path, "a/b/c.bin"))).toBe(0o600);
  });

  it("makes its directory, but not the one above, which is rather a disk that is not mounted", async () => {
    await localDisk({ path: join(root, "new") }).check(options);
    expect(await readdir(join(root, "new"))).toEqual([]);
    const path = join(root, "no", "disk");
    const refusal = { kind: "invalid", message: expect.stringMatching(/does not exist, and neither does/) };
    await expect(localDisk({ path }).check(options)).rejects.toMatchObject(refusal);
    await expect(put("k", Buffer.from("x"), path)).rejects.toMatchObject(refusal);
    await expect(access(join(root, "no"))).rejects.toThrow();
  });

  it("removes what it has begun at once when it is stopped, though all of Node's threads are busy", async () => {
    const controller = new AbortController();
    const { promise: until, resolve: release } = Promise.withResolvers<void>();
    const body = (async function* () {
      yield Buffer.from("begun");
      await until;
      yield Buffer.from("this has to wait for a thread");
    })();
    const running = localDisk({ path: root }).put("k", body, { signal: controller.signal });
    running.catch(() => {});
    while ((await readdir(root)).length === 0) await new Promise(setImmediate);
    const rounds = 1_000_000;
    // As many as there are threads for such work, unless somebody has set another number; and one to spare.
    const threads = Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) + 1;
    const busy = Array.from({ length: threads }, () => promisify(pbkdf2)("p", "s", rounds, 32, "sha512"));
    release();
    await new Promise(setImmediate);
    controller.abort(new Error("enough"));
    expect(readdirSync(root)).toEqual([]);
    await expect(running).rejects.toThrow("enough");
    await Promise.all(busy);
    expect(readdirSync(root)).toEqual([]);
  });

  it.runIf(existsSync("/proc/self/fd"))(
    "leaves no file open when it is stopped before reading begins",
    async () => {
      await put("k", Buffer.from("x"));
      const controller = new AbortController();
      const content = await localDisk({ path: root }).get("k", { signal: controller.signal });
      controller.abort(new Error("enough"));
      await expect(collect(content)).rejects.toThrow("enough");
      await localDisk({ path: root }).get("k", options);
      const open = await Promise.all((await readdir("/proc/self/fd")).map(nameOfOpen));
      expect(open.filter((name) => name?.startsWith(root))).toEqual([]);
    },
  );

  it("refuses a path that depends on where the agent was started", () => {
    expect(() => localDisk({ path: "backups" })).toThrow(/not an absolute path/);
  });

  it("removes directories that a delete or a failed put empties, and never its own", async () => {
    const storage = localDisk({ path: `${root}/` });
    await put("a/b/one", Buffer.from("1"));
    await put("a/two", Buffer.from("2"));
    await storage.delete("a/b/one", options);
    expect(await readdir(root, { recursive: true })).toEqual(["a", "a/two"]);
    await storage.delete("a/two", options);
    expect(await readdir(root)).toEqual([]);
    const failing = (async function* () {
      yield Buffer.from("x");
      throw new Error("the source broke");
    })();
    await expect(storage.put("x/y/z", failing, options)).rejects.toThrow("the source broke");
    expect(await readdir(root)).toEqual([]);
  });

  it("removes what a killed process left when the key is deleted, and hides it until then", async () => {
    await mkdir(join(root, "d"));
    await writeFile(join(root, "d/k.partial-0123456789abcdef"), "half");
    await writeFile(join(root, "d/k2.partial-0123456789abcdef"), "half");
    const storage = localDisk({ path: root });
    expect(await keysOf(storage.list("", options))).toEqual([]);
    await storage.delete("d/k", options);
    expect(await readdir(join(root, "d"))).toEqual(["k2.partial-0123456789abcdef"]);
  });

  it("survives puts and deletes beside each other in one directory", async () => {
    const storage = localDisk({ path: root });
    const rounds = Array.from({ length: 40 }, async (_, index) => {
      await storage.put(`d/e/k${index}`, oddChunks(Buffer.from("x")), options);
      await storage.delete(`d/e/k${index}`, options);
    });
    await Promise.all(rounds);
    expect(await readdir(root)).toEqual([]);
  });

  it("follows no link, and takes no directory for an object", async () => {
    const secret = await mkdtemp(join(tmpdir(), "secret-"));
    await writeFile(join(secret, "file"), "secret");
    await symlink(join(secret, "file"), join(root, "link"));
    await put("dir/k", Buffer.from("x"));
    const storage = localDisk({ path: root });
    for (const key of ["link", "dir", "dir/k/below"]) {
      await expect(storage.get(key, options), key).rejects.toMatchObject({ kind: "not_found" });
      expect(await storage.stat(key, options)).toBeNull();
    }
    expect(await keysOf(storage.list("", options))).toEqual(["dir/k"]);
    await storage.delete("dir", options);
    await expect(put("dir", Buffer.from("x"))).rejects.toMatchObject({ kind: "invalid" });
    await expect(put("dir/k/below", Buffer.from("x"))).rejects.toMatchObject({ kind: "invalid" });
    expect(await keysOf(storage.list("", options))).toEqual(["dir/k"]);
    await put("link", Buffer.from("mine"));
    expect(String(await collect(await storage.get("link", options)))).toBe("mine");
    await rm(secret, { recursive: true });
  });

  it("throws when a file becomes shorter while it is read", async () => {
    await put("k", randomData(5 * MiB).bytes);
    const reading = async () => {
      for await (const _chunk of await localDisk({ path: root }).get("k", options)) {
        await truncate(join(root, "k"), 2 * MiB);
      }
    };
    await expect(reading()).rejects.toMatchObject({ kind: "corrupt" });
  });

  it.skipIf(isRoot)("says that it is not allowed to write (not for root, who always is)", async () => {
    await chmod(root, 0o500);
    await expect(put("k", Buffer.from("x"))).rejects.toMatchObject({ kind: "denied", permanent: true });
  });
});

describe("local disk on a small disk of its own", () => {
  const mount = (...args: string[]) => spawnSync("mount", args).status === 0;
  const probe = () => {
    const path = spawnSync("mktemp", ["-d"]).stdout.toString().trim();
    const isAllowed = mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", path);
    if (isAllowed) spawnSync("umount", [path]);
    spawnSync("rmdir", [path]);
    return isAllowed;
  };
  const canMount = process.platform === "linux" && isRoot && probe();
  const withDisk = async (test: () => Promise<void>) => {
    expect(mount("-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", root)).toBe(true);
    try {
      await test();
    } finally {
      spawnSync("umount", [root]);
    }
  };

  it.skipIf(!canMount)(
    "says that the disk is full, leaves nothing and keeps the old object (needs mount)",
    () =>
      withDisk(async () => {
        await put("d/k", Buffer.from("old"));
        const full = { kind: "full", permanent: true, message: expect.stringMatching(/no space is left/) };
        await expect(put("d/k", randomData(6 * MiB).bytes)).rejects.toMatchObject(full);
        await expect(put("d/new/k", randomData(6 * MiB).bytes)).rejects.toMatchObject(full);
        expect(await readdir(root, { recursive: true })).toEqual(["d", "d/k"]);
        expect(String(await collect(await localDisk({ path: root }).get("d/k", options)))).toBe("old");
        await put("d/k", randomData(3 * MiB).bytes);
      }),
  );

  it.skipIf(!canMount)("says that the disk is read-only (needs mount)", () =>
    withDisk(async () => {
      await put("k", Buffer.from("old"));
      expect(mount("-o", "remount,ro", root)).toBe(true);
      const denied = { kind: "denied", permanent: true, message: expect.stringMatching(/read-only/) };
      await expect(put("k", Buffer.from("new"))).rejects.toMatchObject(denied);
      await expect(localDisk({ path: root }).delete("k", options)).rejects.toMatchObject(denied);
      await expect(localDisk({ path: root }).check(options)).rejects.toMatchObject(denied);
      expect(await localDisk({ path: root }).stat("k", options)).toEqual({ sizeBytes: 3 });
    }),
  );
});
