import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { trustOwnCa } from "../../agent-cli/network.ts";
import { startS3OverTls } from "../fakes/s3-over-tls.ts";
import { startStrictGcs } from "../fakes/strict-gcs.ts";
import { azuriteAccount, startAzurite, startNginx, startProftpd, startSshd } from "../storage/servers.ts";

/** A storage that answers, by the settings and the flags with which a command reaches it. */
export type Served = {
  settings: { type: string } & Record<string, unknown>;
  /** The same for a storage that is opened here. */
  config: Record<string, unknown>;
  flags: string[];
  close(): Promise<unknown>;
};
type Kind = { type: string; needs: string[]; serve(folder: string): Promise<Served> };

const nothing = async () => {};

/** As its operator keeps it. */
function secretFile(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** One of each type that can be had without a master: real servers but for Google's, of which there is a stand-in. */
export const servedStorages: Kind[] = [
  {
    type: "local_disk",
    needs: [],
    async serve(folder) {
      const config = { path: join(folder, "disk") };
      return { settings: { type: "local_disk", ...config }, config, flags: [], close: nothing };
    },
  },
  {
    type: "s3",
    needs: ["openssl"],
    async serve(folder) {
      const { caFile, close, ...server } = await startS3OverTls(folder);
      const config = { ...server.config, prefix: "edge" };
      return { settings: { type: "s3", ...config }, config, flags: ["--ca-cert", caFile], close };
    },
  },
  {
    type: "webdav",
    needs: ["nginx"],
    async serve() {
      const { port, close } = await startNginx();
      const url = `http://127.0.0.1:${port}/some where/`;
      const config = { url, username: "someone", password: "a password" };
      return { settings: { type: "webdav", ...config }, config, flags: [], close };
    },
  },
  {
    type: "sftp",
    needs: ["sshd"],
    async serve(folder) {
      const server = await startSshd();
      const { port, username, fingerprint, privateKey } = server;
      const path = join(server.files, "some where");
      const common = { host: "127.0.0.1", port, username, hostKey: fingerprint, path };
      const privateKeyFile = secretFile(folder, "id_ed25519", privateKey);
      return {
        settings: { type: "sftp", ...common, privateKeyFile },
        config: { ...common, privateKey },
        flags: [],
        close: server.close,
      };
    },
  },
  {
    type: "ftp",
    needs: ["proftpd", "openssl"],
    async serve() {
      const { port, username, password, caFile, close } = await startProftpd();
      trustOwnCa({ proxyUrl: null, insecureTls: false, caCertFile: caFile });
      const config = { host: "127.0.0.1", port, username, password, path: "some where" };
      return { settings: { type: "ftp", ...config }, config, flags: ["--ca-cert", caFile], close };
    },
  },
  {
    type: "rclone",
    needs: ["nginx", "rclone"],
    async serve() {
      const { port, close } = await startNginx();
      const { stdout } = await promisify(execFile)("rclone", ["obscure", "a password"]);
      const config = {
        remote: `:webdav,url="http://127.0.0.1:${port}",vendor=other,user=someone:some where`,
        settings: { pass: stdout.trim() },
      };
      return { settings: { type: "rclone", ...config }, config, flags: [], close };
    },
  },
  {
    type: "azure_blob",
    needs: ["azurite-blob"],
    async serve() {
      const { endpoint, close } = await startAzurite();
      const config = { ...azuriteAccount, endpoint, prefix: "edge" };
      return { settings: { type: "azure_blob", ...config }, config, flags: [], close };
    },
  },
  {
    type: "gcs",
    needs: [],
    async serve(folder) {
      const { bucket, endpoint, serviceAccountKey, close } = await startStrictGcs();
      const common = { bucket, endpoint, prefix: "edge" };
      const serviceAccountKeyFile = secretFile(folder, "key.json", serviceAccountKey());
      return {
        settings: { type: "gcs", ...common, serviceAccountKeyFile },
        config: { ...common, serviceAccountKey: serviceAccountKey() },
        flags: [],
        close,
      };
    },
  },
];

/** The settings as a file that `--storage` takes. */
export function storageFile(folder: string, settings: object): string {
  mkdirSync(folder, { recursive: true });
  // JSON is YAML too.
  return secretFile(folder, "storage.yaml", JSON.stringify(settings, null, 2));
}
