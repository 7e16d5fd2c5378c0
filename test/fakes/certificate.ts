import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate for 127.0.0.1 from a CA of its own, made in `folder` by openssl. */
export function makeCertificate(folder: string): { key: string; cert: string; caFile: string } {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=a private CA",
  );
  openssl(
    ...[
      "req",
      "-x509",
      ...newKey,
      "-keyout",
      "key.pem",
      "-out",
      "cert.pem",
      "-days",
      "2",
      "-subj",
      "/CN=127.0.0.1",
    ],
    ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-CA", "ca.pem", "-CAkey", "ca.key"],
  );
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return { key: read("key.pem"), cert: read("cert.pem"), caFile: join(folder, "ca.pem") };
}
