import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tokenBucket } from "../../agent-cli/storage/limited.ts";
import { openStorage } from "../../agent-cli/storage/open-storage.ts";
import { escapeXml, readXml } from "../../agent-cli/storage/read-xml.ts";
import { targetSettings } from "../../protocol/objects.ts";
import { memoryVault } from "../fakes/memory-vault.ts";
import { bucket, credentials, region, startStrictS3 } from "../fakes/strict-s3.ts";

const options = { signal: new AbortController().signal };
const s3Config = {
  endpoint: "https://s3.example",
  bucket: "b",
  accessKeyId: "planted-id",
  secretAccessKey: "planted-key",
};

describe("open-storage", () => {
  it("opens every kind, and each passes its check", async () => {
    const path = await mkdtemp(join(tmpdir(), "open-"));
    const server = await startStrictS3();
    const env = { vault: memoryVault().client, bucket: tokenBucket(1e9) };
    await (await openStorage("local_disk", { path }, env)).check(options);
    await (await openStorage("vault", {}, env)).check(options);
    const config = { endpoint: server.endpoint, region, bucket, ...credentials, prefix: "p" };
    await (await openStorage("s3", config, env)).check(options);
    expect(server.objects.size).toBe(0);
    await server.close();
    await rm(path, { recursive: true });
  });

  it("opens Google Cloud Storage as S3 for those who have an HMAC key", async () => {
    const { config, secrets } = targetSettings.s3;
    const settings = config.parse({ endpoint: "https://storage.googleapis.com", bucket: "backups" });
    const keys = secrets.parse({ accessKeyId: "GOOG1EXAMPLE", secretAccessKey: "base64+of/forty=" });
    expect(settings).toMatchObject({ region: "auto", pathStyle: true });
    await expect(openStorage("s3", { ...settings, ...keys })).resolves.toMatchObject({});
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["local_disk", {}, "storage config: path is missing"],
    ["local_disk", { path: 7 }, "storage config: path must be text"],
    ["local_disk", { path: "relative" }, "the directory relative is not an absolute path"],
    ["s3", { ...s3Config, endpoint: undefined }, "storage config: endpoint is missing"],
    ["s3", { ...s3Config, endpoint: "ftp://x" }, "storage config: endpoint is not an http or https address"],
    [
      "s3",
      { ...s3Config, endpoint: "http://planted-id:planted-key@x" },
      "storage config: endpoint must hold no user name or password",
    ],
    ["s3", { ...s3Config, bucket: "../up" }, "storage config: bucket is not a bucket's name"],
    ["s3", { ...s3Config, accessKeyId: "" }, "storage config: accessKeyId is missing"],
    ["s3", { ...s3Config, secretAccessKey: 12 }, "storage config: secretAccessKey must be text"],
    ["s3", { ...s3Config, pathStyle: "yes" }, "storage config: pathStyle must be true or false"],
    ["s3", { ...s3Config, prefix: "a/../b" }, 'storage key "a/../b" cannot be used: it has the segment ".."'],
    ["webdav", {}, "storage config: url is missing"],
    ["webdav", { url: "file:///x" }, "storage config: url is not an http or https address"],
    ["webdav", { url: "http://u:planted@x" }, "storage config: url must hold no user name or password"],
    ["sftp", { username: "u", path: "p" }, "storage config: host is missing"],
    [
      "sftp",
      { host: "h", username: "u", path: "p", port: 0 },
      "storage config: port must be a number from 1 to 65535",
    ],
    [
      "ftp",
      { host: "h", username: "u", path: "p", tls: "maybe" },
      "storage config: tls must be explicit, implicit or none",
    ],
    ["rclone", { remote: "/just/a/path" }, "storage config: remote is not like name:path"],
    [
      "rclone",
      { remote: "a:b", settings: { "A=B": "planted" } },
      "storage config: settings must be names of letters, digits and _, with texts",
    ],
    [
      "azure_blob",
      { account: "abc", container: "abc" },
      "storage config: accountKey is missing, and so is sasToken",
    ],
    [
      "azure_blob",
      { account: "a/b", accountKey: "planted" },
      "storage config: account is not a storage account's name",
    ],
    ["gcs", { bucket: "b" }, "storage config: serviceAccountKey is missing"],
    [
      "gcs",
      { bucket: "b", serviceAccountKey: '{"private_key":"planted"}' },
      "serviceAccountKey is not the JSON file of a service account's key, with client_email and private_key",
    ],
    ["vault", {}, "the vault can only be reached by an agent of its master"],
    [
      "toString",
      {},
      'this agent knows no storage of type "toString", only local_disk, vault, s3, webdav, sftp, ftp, rclone, azure_blob, gcs',
    ],
  ])("refuses %s %o", async (type, config, message) => {
    await expect(openStorage(type, config)).rejects.toMatchObject({
      kind: "invalid",
      permanent: true,
      message,
    });
  });
});

describe("XML", () => {
  it("reads what S3 servers write", () => {
    const xml = `<?xml version="1.0"?>\n<!-- c --><s3:A xmlns:s3="x>y"><B a='1'> a&amp;b&#x1F600;&#10; </B><C/><D><![CDATA[<x>&amp;]]></D></s3:A>\n`;
    expect(readXml(xml)).toEqual({
      name: "A",
      text: "",
      children: [
        { name: "B", text: " a&b😀\n ", children: [] },
        { name: "C", text: "", children: [] },
        { name: "D", text: "<x>&amp;", children: [] },
      ],
    });
    const nasty = `<&>"' ]]>`;
    expect(readXml(`<k>${escapeXml(nasty)}</k>`).text).toBe(nasty);
  });

  it.each([
    "",
    "text",
    "<a>",
    "<a></b>",
    "</a>",
    "<a/><b/>",
    "<a",
    "<!DOCTYPE html><html></html>",
    '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    "<a><![CDATA[",
    "<>",
  ])("refuses %j", (text) => {
    expect(() => readXml(text)).toThrow(/XML/);
  });
});
