import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { makeCertificate } from "./certificate.ts";

const run = promisify(execFile);

/** A real database server of a test file's own. */
export type DatabaseServer = {
  port: number;
  user: string;
  password: string;
  /** What a client is given to reach it by a Unix socket. */
  socket: string;
  caFile: string;
  /** Runs SQL as the superuser and gives what it answers, without a header. */
  sql(text: string, database?: string): string;
  /** The same, without waiting for it. */
  start(text: string, database?: string): ChildProcess;
  stop(): Promise<void>;
  close(): Promise<void>;
};

/** A password with what shells, option files and password files must not stumble over. */
const password = `se:cr\\et 'pass" #1`;

/** PostgreSQL, which refuses to be root. */
export async function startPostgres(): Promise<DatabaseServer> {
  const folder = makeFolder("postgres");
  const bin = postgresBin();
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password);
  own(folder, "postgres");
  const asServer = as("postgres");
  await run(
    ...asServer(join(bin, "initdb"), [
      ...["--pgdata", data, "--username", "postgres", "--auth", "scram-sha-256", "--pwfile", passwordFile],
      ...["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
    ]),
  );
  const port = await freePort();
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    fsync: "off",
    ssl: "on",
    ssl_cert_file: join(folder, "cert.pem"),
    ssl_key_file: join(folder, "key.pem"),
  };
  const child = spawn(
    ...asServer(join(bin, "postgres"), [
      ...["-D", data, "-p", String(port)],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]),
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const env = {
    ...process.env,
    PGPASSWORD: password,
    PGHOST: folder,
    PGPORT: String(port),
    PGUSER: "postgres",
  };
  const client = (database: string): [string, string[]] => [
    join(bin, "psql"),
    ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", `dbname='${database.replace(/[\\']/g, "\\$&")}'`],
  ];
  return serving(
    child,
    folder,
    // Ends its other processes, too.
    "SIGQUIT",
    { port, user: "postgres", socket: folder },
    (database) => client(database ?? "postgres"),
    env,
  );
}

/** MariaDB, whose root has a password. */
export async function startMariadb(): Promise<DatabaseServer> {
  const folder = makeFolder("mariadb");
  const data = join(folder, "data");
  own(folder, "mysql");
  const asServer = as("mysql");
  const socket = join(folder, "socket");
  await run(
    ...asServer("mariadb-install-db", [
      ...["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db"],
    ]),
  );
  const port = await freePort();
  const child = spawn(
    ...asServer("mariadbd", [
      ...["--no-defaults", `--datadir=${data}`, `--port=${port}`, "--bind-address=127.0.0.1"],
      ...[`--socket=${socket}`, `--pid-file=${join(folder, "pid")}`, "--event-scheduler=ON"],
      ...[`--ssl-cert=${join(folder, "cert.pem")}`, `--ssl-key=${join(folder, "key.pem")}`],
      ...["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--max-allowed-packet=256M"],
    ]),
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const env = { ...process.env, MYSQL_PWD: "" };
  const client = (database?: string): [string, string[]] => [
    "mariadb",
    [
      ...["--no-defaults", `--socket=${socket}`, "--user=root", "--batch", "--skip-column-names"],
      ...["--default-character-set=utf8mb4", ...(database === undefined ? [] : [`--database=${database}`])],
    ],
  ];
  const server = await serving(child, folder, "SIGKILL", { port, user: "root", socket }, client, env);
  const accounts = server
    .sql("select concat(quote(user), '@', quote(host)) from mysql.user where user = 'root'")
    .split("\n");
  const quoted = `'${password.replace(/[\\']/g, "\\$&")}'`;
  server.sql(
    accounts
      .filter(Boolean)
      .map((account) => `set password for ${account} = password(${quoted});`)
      .join("\n"),
  );
  env.MYSQL_PWD = password;
  return server;
}

async function serving(
  child: ChildProcess,
  folder: string,
  endedBy: NodeJS.Signals,
  place: Pick<DatabaseServer, "port" | "user" | "socket">,
  client: (database?: string) => [string, string[]],
  env: NodeJS.ProcessEnv,
): Promise<DatabaseServer> {
  let said = "";
  child.stderr?.on("data", (text) => (said = `${said}${text}`.slice(-4000)));
  child.on("error", (error) => (said = String(error)));
  const ask = (input: string, database?: string) =>
    spawnSync(...client(database), { input, env, encoding: "utf8", maxBuffer: 1 << 28 });
  const stop = () => end(child, endedBy);
  const close = async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const server: DatabaseServer = {
    ...place,
    password,
    caFile: join(folder, "ca.pem"),
    sql(text, database) {
      const { status, stdout, stderr } = ask(text, database);
      if (status !== 0) throw new Error(`${stderr}\nin: ${text.slice(0, 2000)}`);
      return stdout.trimEnd();
    },
    start(text, database) {
      const started = spawn(...client(database), { env, stdio: ["pipe", "ignore", "ignore"] });
      started.stdin.on("error", () => {});
      started.stdin.end(text);
      return started;
    },
    stop,
    close,
  };
  for (let tries = 0; tries < 600 && child.exitCode === null && child.pid !== undefined; tries += 1) {
    if (ask("select 1;").status === 0) return server;
    await delay(50);
  }
  await close();
  throw new Error(`the database server did not start: ${said}`);
}

function makeFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  chmodSync(folder, 0o755);
  makeCertificate(folder);
  return folder;
}

/** SQL of what takes for ever to restore into a PostgreSQL that nobody can connect to from outside, as a temporary one. */
export const neverRestored = `create function wait() returns int language plpgsql as $$ begin
    while current_setting('listen_addresses') = '' loop perform pg_sleep(0.1); end loop; return 1; end $$;
  create materialized view held as select wait();`;

/** Processes of servers that verifications have started below a folder, and whether they take connections yet. */
export const temporaryServersBelow = (folder: string): { pid: number; serves: boolean }[] =>
  readdirSync("/proc").flatMap((name) => {
    try {
      const isOne = /^\d+$/.test(name) && readlinkSync(`/proc/${name}/fd/3`).startsWith(`${folder}/`);
      const commandLine = isOne ? readFileSync(`/proc/${name}/cmdline`, "utf8") : "";
      const serves = /unix_socket_directories|--socket=/.test(commandLine);
      return isOne ? [{ pid: Number(name), serves }] : [];
    } catch {
      return [];
    }
  });

const isRoot = process.getuid?.() === 0;

function own(folder: string, user: string): void {
  if (!isRoot) return;
  const id = (flag: string) => Number(spawnSync("id", [flag, user], { encoding: "utf8" }).stdout);
  const [uid, gid] = [id("-u"), id("-g")];
  for (const path of [folder, ...readdirSync(folder).map((name) => join(folder, name))])
    chownSync(path, uid, gid);
  chmodSync(join(folder, "key.pem"), 0o600);
}

/** Starts a server as the user that its package has made for it, when this is root. */
const as =
  (user: string) =>
  (program: string, args: string[]): [string, string[]] =>
    isRoot
      ? ["setpriv", [`--reuid=${user}`, `--regid=${user}`, "--clear-groups", program, ...args]]
      : [program, args];

function postgresBin(): string {
  const versions = readdirSync("/usr/lib/postgresql").toSorted((a, b) => Number(b) - Number(a));
  return join("/usr/lib/postgresql", versions[0] ?? "", "bin");
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  // At once, without waiting for whoever is connected. Nobody needs what it has stored any more.
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
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
