import { join } from "node:path";
import S3rver from "s3rver";
import { trustOwnCa } from "../../agent-cli/network.ts";
import { makeCertificate } from "./certificate.ts";

/**
 * An S3 service that keeps its bucket `backups` below `folder`, with a certificate that this process then trusts. By
 * TLS: without it restic signs each piece, and this server stores the signatures with what they sign.
 */
export async function startS3OverTls(folder: string) {
  const { key, cert, caFile } = makeCertificate(folder);
  const network = { proxyUrl: null, insecureTls: false, caCertFile: caFile };
  trustOwnCa(network);
  const server = new S3rver({
    key,
    cert,
    port: 0,
    address: "127.0.0.1",
    silent: true,
    directory: join(folder, "buckets"),
    configureBuckets: [{ name: "backups", configs: [] }],
  });
  const { port } = await server.run();
  const endpoint = `https://127.0.0.1:${port}`;
  /** What a storage of it is configured with. */
  const config = {
    endpoint,
    region: "us-east-1",
    bucket: "backups",
    pathStyle: true,
    accessKeyId: "S3RVER",
    secretAccessKey: "S3RVER",
  };
  return { endpoint, config, network, caFile, close: () => server.close() };
}
