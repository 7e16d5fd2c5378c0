import { chmodSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { runAgentCommand, scratch } from "./agent-process.ts";

/* What `--storage` takes, and in which words it refuses the rest. */

let folder: string;
let file: string;
beforeEach(() => {
  folder = scratch();
  file = join(folder, "nas.yaml");
});

/** Writes the settings and lists what is there; nothing of it can be reached. */
async function list(yaml: string, mode = 0o600) {
  writeFileSync(file, yaml.replaceAll("FOLDER", folder), { mode });
  chmodSync(file, mode);
  return runAgentCommand(["list", "--storage", file]);
}

const s3 = `type: s3
endpoint: https://s3.example.com
bucket: backups
accessKeyId: PLANTED-ID
secretAccessKey: PLANTED-KEY
`;

describe("a storage's settings", () => {
  it("may have comments, and leave out what has a default", async () => {
    const found = await list("# the disk in the cellar\ntype: local_disk\npath: FOLDER/disk\n");
    expect(found).toEqual({
      code: 0,
      stdout: "nothing is here: are its address, path and prefix right?\n",
      stderr: "",
    });
  });

  it.each([
    [
      "can be read by others",
      s3,
      0o640,
      "storage: FILE can be read by others, and is for secrets: chmod 600 FILE",
    ],
    [
      "is no YAML",
      "type: s3\nsecretAccessKey: [PLANTED",
      0o600,
      "storage: cannot read FILE: not valid YAML near line 2",
    ],
    ["is no list of settings", "- PLANTED", 0o600, "storage: FILE must be a list of `key: value` lines"],
    [
      "has no type",
      "path: /x",
      0o600,
      "storage: FILE: type is missing: it must be one of local_disk, s3, webdav, sftp, ftp, rclone, azure_blob, gcs",
    ],
    [
      "has another type",
      "type: azure",
      0o600,
      /^storage: FILE: type "azure" is none: it must be one of .*azure_blob/,
    ],
    [
      "names the vault",
      "type: vault",
      0o600,
      /^storage: FILE: type vault: a vault is only reached through its master\. /,
    ],
    [
      "has an unknown key",
      `${s3}accessKey: PLANTED`,
      0o600,
      /^storage: FILE has an unknown key "accessKey"; did you mean accessKeyId\? \(known: type, endpoint, /,
    ],
    [
      "has a key of another type",
      "type: ftp\nbucket: b",
      0o600,
      /^storage: FILE has an unknown key "bucket" \(known: type, host, port, tls, username, path, password, passwordFile\)/,
    ],
    [
      "lacks keys",
      "type: sftp\nhost: nas\npath:",
      0o600,
      "storage: FILE: username is missing; path is missing",
    ],
    [
      "has a number for a text",
      "type: ftp\nhost: nas\nusername: u\npath: p\npassword: 123456",
      0o600,
      "storage: FILE: password must be text: put it in quotes",
    ],
    [
      "has a text for a number",
      "type: sftp\nhost: nas\nusername: u\npath: p\nport: PLANTED",
      0o600,
      "storage: FILE: port must be a number",
    ],
    [
      "has no address",
      `${s3.replace("https://s3.example.com", "PLANTED")}`,
      0o600,
      "storage: FILE: endpoint must be an http:// or https:// address",
    ],
    [
      "has a password in an address",
      "type: webdav\nurl: https://u:PLANTED@nas/",
      0o600,
      "storage: FILE: url must hold no user name or password",
    ],
    [
      "has neither of two keys",
      "type: azure_blob\naccount: abc\ncontainer: abc",
      0o600,
      "storage: FILE: accountKey is missing, and so is sasToken",
    ],
    [
      "names a file that is not there",
      "type: ftp\nhost: nas\nusername: u\npath: p\npasswordFile: FOLDER/pw",
      0o600,
      "passwordFile: cannot read FOLDER/pw: ENOENT",
    ],
    [
      "names a file by half its path",
      "type: ftp\nhost: nas\nusername: u\npath: p\npasswordFile: pw",
      0o600,
      "storage: FILE: passwordFile must be an absolute path",
    ],
    [
      "has a secret twice",
      "type: ftp\nhost: nas\nusername: u\npath: p\npassword: PLANTED\npasswordFile: /x",
      0o600,
      "storage: FILE: password and passwordFile are both set: keep one",
    ],
  ])("that %s is refused in words, without its secrets", async (_what, yaml, mode, words) => {
    const { code, stdout, stderr } = await list(yaml, mode);
    expect({ code, stdout }, stderr).toEqual({ code: 2, stdout: "" });
    const said = stderr
      .replaceAll(file, "FILE")
      .replaceAll(folder, "FOLDER")
      .replace(/^backupx-agent: /, "")
      .trimEnd();
    if (typeof words === "string") expect(said).toBe(words);
    else expect(said).toMatch(words);
    expect(stderr).not.toContain("PLANTED");
  });

  it("in a secret's own file that others can read are refused too", async () => {
    writeFileSync(join(folder, "pw"), "PLANTED\n", { mode: 0o644 });
    const { code, stderr } = await list(
      "type: ftp\nhost: nas\nusername: u\npath: p\npasswordFile: FOLDER/pw",
    );
    expect(code).toBe(2);
    expect(stderr).toContain(
      `passwordFile: ${folder}/pw can be read by others, and is for secrets: chmod 600 ${folder}/pw`,
    );
    expect(stderr).not.toContain("PLANTED");
  });

  it("are looked at before a backup reads anything", async () => {
    writeFileSync(file, "type: azure_blob\naccount: abc\ncontainer: abc\n", { mode: 0o600 });
    const refused = await runAgentCommand(["backup", folder, "--storage", file]);
    expect(refused).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("accountKey is missing"),
    });
  });

  it("are needed to be there, or another place", async () => {
    const missing = join(folder, "none.yaml");
    expect(await runAgentCommand(["list", "--storage", missing])).toMatchObject({
      code: 2,
      stderr: `backupx-agent: storage: cannot read ${missing}: ENOENT\n`,
    });
    expect(await runAgentCommand(["backup", folder])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--to or --storage"),
    });
    for (const args of [["list"], ["verify"], ["list", "a.tar", "--from", "b.tar"]])
      expect(await runAgentCommand(args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("name one artifact"),
      });
  });
});

it("a storage that cannot be reached is told as such, without its secrets", async () => {
  const settings = {
    type: "s3",
    endpoint: "http://127.0.0.1:9",
    bucket: "b",
    accessKeyId: "PLANTED-ID",
    secretAccessKey: "PLANTED-KEY",
  };
  const { code, stdout, stderr } = await list(JSON.stringify(settings));
  expect({ code, stdout }, stderr).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/127\.0\.0\.1:9/);
  expect(stderr).not.toContain("PLANTED");
});

it("what is no artifact of ours is counted, and a repository of restic's is named as such", async () => {
  const disk = join(folder, "disk");
  const storedAt = new Date("2026-12-24T18:00:00Z");
  const put = (key: string, text: string) => {
    mkdirSync(join(disk, key, ".."), { recursive: true });
    writeFileSync(join(disk, key), text);
    utimesSync(join(disk, key), storedAt, storedAt);
  };
  put("photos/holiday.jpg", "12345");
  put("BackupX/restic/task-7/config", "123");
  put("BackupX/restic/task-7/data/ab/abcd", "1234567");
  for (const digit of ["a", "b"]) put(`BackupX/restic/task-7/snapshots/${digit.repeat(64)}`, "1");
  put("BackupX/mysql/261101/shop.sql.gz", "from a Go agent");
  put("BackupX/saphana/261102/records/5/hana-t4-r5.tar", "saphana");
  const yaml = "type: local_disk\npath: FOLDER/disk\n";
  const { stdout } = await list(yaml);
  expect(stdout.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "BACKUP OF STORED TYPE SIZE ENCRYPTED TASK RECORD OBJECT",
    "2026-11-02 2026-12-24 18:00:00 saphana 7 B no hana (4) 5 BackupX/saphana/261102/records/5/hana-t4-r5.tar",
    "2026-11-01 2026-12-24 18:00:00 mysql 15 B no - - BackupX/mysql/261101/shop.sql.gz",
    "BackupX/restic/task-7: a repository of restic's with 2 snapshots, 12 B: restic itself opens it",
    "and 1 other object, 5 B",
    "",
  ]);
  const json = JSON.parse((await runAgentCommand(["list", "--storage", file, "--json"])).stdout);
  expect(json).toMatchObject({
    objects: [
      { type: "saphana", time: "2026-11-02", storedAt: storedAt.toISOString() },
      { type: "mysql", recordId: null, task: null, compression: "gzip" },
    ],
    repositories: [{ key: "BackupX/restic/task-7", taskId: 7, snapshots: 2, sizeBytes: 12 }],
    others: { count: 1, sizeBytes: 5 },
  });
  const key = `BackupX/restic/task-7/snapshots/${"a".repeat(64)}`;
  const restored = await runAgentCommand(["restore", key, "--storage", file, "--to", join(folder, "back")]);
  expect(restored).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("which restic opens by itself"),
  });
});
