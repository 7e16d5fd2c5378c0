import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { makeAzureSend } from "../../agent-cli/storage/azure-request.ts";
import { makeCertificate } from "../fakes/certificate.ts";

const run = promisify(execFile);

/** A real server of some kind, with an empty directory that it serves. */
export type Server = { port: number; files: string; close(): Promise<void> };

/** Files below the directory that puts have not finished. */
export async function partialsIn(files: string): Promise<string[]> {
  return (await readdir(files, { recursive: true })).filter((name) => name.includes(".partial-"));
}

/** nginx with its own PUT, DELETE, MKCOL and MOVE, and PROPFIND from the dav-ext module. */
export const startNginx = (): Promise<Server> =>
  startServer(async ({ folder, files, port }) => {
    const config = `
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
daemon off; master_process off; ${process.getuid?.() === 0 ? "user root;" : ""}
pid ${folder}/pid; error_log stderr error;
events {}
http {
  access_log off; client_body_temp_path ${folder}/body; client_max_body_size 0;
  proxy_temp_path ${folder}/1; fastcgi_temp_path ${folder}/2; uwsgi_temp_path ${folder}/3; scgi_temp_path ${folder}/4;
  server {
    listen 127.0.0.1:${port}; root ${files};
    auth_basic "storage"; auth_basic_user_file ${folder}/users;
    dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS;
  }
}`;
    await writeFile(join(folder, "users"), "someone:{PLAIN}a password\n");
    await writeFile(join(folder, "nginx.conf"), config);
    return ["nginx", "-c", join(folder, "nginx.conf"), "-e", "stderr"];
  });

/** Apache with mod_dav. */
export const startApache = (): Promise<Server> =>
  startServer(async ({ folder, files, port }) => {
    const modules = ["mpm_event", "authn_core", "authz_core", "dav", "dav_fs"].map(
      (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
    );
    // Apache gives up root for another user unless told whom to stay.
    const config = `${modules.join("\n")}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
PidFile ${folder}/pid
DefaultRuntimeDir ${folder}
ErrorLog ${folder}/errors
DocumentRoot ${files}
DavLockDB ${folder}/locks
LimitRequestBody 0
<Directory ${files}>
  Dav On
  Require all granted
</Directory>`;
    await writeFile(join(folder, "apache.conf"), config);
    await chmod(folder, 0o777);
    await chmod(files, 0o777);
    return ["apache2", "-D", "FOREGROUND", "-f", join(folder, "apache.conf")];
  });

/** rclone's own WebDAV server. */
export const startRcloneWebdav = (): Promise<Server> =>
  startServer(async ({ files, port }) => {
    const login = ["--user", "someone", "--pass", "a password"];
    return ["rclone", "serve", "webdav", files, "--addr", `127.0.0.1:${port}`, ...login, "--config", ""];
  });

export type SshServer = Server & {
  username: string;
  privateKey: string;
  fingerprint: string;
  knownHosts: string;
};

/** OpenSSH's server for this user, who has a key. */
export async function startSshd(): Promise<SshServer> {
  let found = { privateKey: "", fingerprint: "", knownHosts: "" };
  const server = await startServer(async ({ folder, port }) => {
    for (const name of ["host", "user"]) {
      await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
    }
    // Root's sshd insists on its directory, which Debian only makes when the service starts.
    if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true });
    const config = `
ListenAddress 127.0.0.1
Port ${port}
HostKey ${folder}/host
AuthorizedKeysFile ${folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp`;
    await writeFile(join(folder, "sshd.conf"), config);
    const { stdout } = await run("ssh-keygen", ["-l", "-f", join(folder, "host.pub")]);
    const [type, key] = (await readFile(join(folder, "host.pub"), "utf8")).split(" ");
    await writeFile(join(folder, "known_hosts"), `# a comment\n[127.0.0.1]:${port} ${type} ${key}\n`);
    await run("ssh-keygen", ["-q", "-H", "-f", join(folder, "known_hosts")]);
    found = {
      privateKey: await readFile(join(folder, "user"), "utf8"),
      fingerprint: stdout.split(" ")[1] ?? "",
      knownHosts: join(folder, "known_hosts"),
    };
    return ["/usr/sbin/sshd", "-D", "-e", "-f", join(folder, "sshd.conf")];
  });
  return { ...server, ...found, username: userInfo().username };
}

/** The account that every Azurite has; its key is no secret. */
export const azuriteAccount = {
  account: "devstoreaccount1",
  accountKey: "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
  container: "backups",
};

/** Azurite, Microsoft's own stand-in for Azure, with an empty container. */
export async function startAzurite(): Promise<Server & { endpoint: string }> {
  const server = await startServer(async ({ folder, port }) => {
    const place = ["--blobHost", "127.0.0.1", "--blobPort", String(port), "--location", folder];
    return ["azurite-blob", ...place, "--silent", "--disableTelemetry", "--skipApiVersionCheck"];
  });
  const endpoint = `http://127.0.0.1:${server.port}/${azuriteAccount.account}`;
  const send = makeAzureSend({ ...azuriteAccount, endpoint }, { stallMs: 30_000 });
  const signal = AbortSignal.timeout(30_000);
  (await send({ method: "PUT", query: { restype: "container" }, signal })).discard();
  return { ...server, endpoint };
}

export type FtpServer = Server & { username: string; password: string; caFile: string };

/** ProFTPD for this user, in the clear and, if the client asks for it, with TLS. */
export async function startProftpd(
  tls: "explicit" | "implicit" = "explicit",
  encoding: "on" | "off" = "off",
): Promise<FtpServer> {
  let caFile = "";
  const login = { username: "someone", password: "a password" };
  const server = await startServer(async ({ folder, files, port }) => {
    const { stdout: hash } = await run("openssl", ["passwd", "-6", login.password]);
    const { uid, gid } = userInfo();
    await writeFile(join(folder, "users"), `someone:${hash.trim()}:${uid}:${gid}::${files}:/bin/sh\n`);
    await chmod(join(folder, "users"), 0o600);
    caFile = makeCertificate(folder).caFile;
    const config = `
ModulePath /usr/lib/proftpd
LoadModule mod_tls.c
ServerType standalone
DefaultAddress 127.0.0.1
Port ${port}
UseIPv6 off
User root
Group root
PidFile ${folder}/pid
ScoreboardFile ${folder}/scoreboard
SystemLog ${folder}/log
DelayEngine off
UseReverseDNS off
UseEncoding ${encoding}
AuthUserFile ${folder}/users
AuthOrder mod_auth_file.c
RequireValidShell off
RootLogin on
AllowOverwrite on
AllowStoreRestart on
TLSEngine on
TLSRequired ${tls === "implicit" ? "on" : "off"}
${tls === "implicit" ? "TLSOptions UseImplicitSSL" : ""}
TLSECCertificateFile ${folder}/cert.pem
TLSECCertificateKeyFile ${folder}/key.pem
TLSLog ${folder}/tls`;
    await writeFile(join(folder, "proftpd.conf"), config);
    return ["/usr/sbin/proftpd", "-n", "-c", join(folder, "proftpd.conf")];
  });
  return { ...server, ...login, caFile };
}

type Room = { folder: string; files: string; port: number };

/** Starts what `prepare` names and waits until its port answers. */
async function startServer(prepare: (room: Room) => Promise<string[]>): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), "server-"));
  const files = join(folder, "files");
  await mkdir(files);
  const port = await freePort();
  const [program = "", ...args] = await prepare({ folder, files, port });
  let said = "";
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => (said = `${said}${text}`.slice(-4000)));
  child.on("error", (error) => (said = String(error)));
  const close = async () => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  if (await answers(port, child)) return { port, files, close };
  await close();
  throw new Error(`${program} did not start: ${said}`);
}

async function answers(port: number, child: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 300 && child.exitCode === null && child.pid !== undefined; tries += 1) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return true;
    await delay(50);
  }
  return false;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
  await ended;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
