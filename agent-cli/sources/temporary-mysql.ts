import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CannotCheck } from "../pipeline/verify/finding.ts";
import { findProgram, versionOf } from "./find-program.ts";
import { type MysqlServer, openMysql } from "./mysql-session.ts";
import {
  type Account,
  accountOf,
  makeFiles,
  ServerFolder,
  startServer,
  type TemporaryServer,
} from "./temporary-server.ts";

/** Where distributions put servers: not on everybody's path. */
const folders = ["/usr/sbin", "/usr/libexec", "/usr/local/sbin"];

/** A MariaDB server with nothing in it. Throws `CannotCheck`, in words, where none can be started. */
export async function startTemporaryMysql(
  workDir: string,
  signal: AbortSignal,
): Promise<TemporaryServer<MysqlServer>> {
  const install = findProgram(["mariadb-install-db"], folders);
  const mariadbd = findProgram(["mariadbd"], folders);
  if (install === null || mariadbd === null)
    throw new CannotCheck("MariaDB's server (mariadb-install-db, mariadbd) is not installed on this machine");
  const account = accountOf("mysql", "nobody");
  const folder = new ServerFolder(workDir, account);
  // It looks up the real path of its files, so the short way by the descriptor is for its socket alone.
  const at = (name: string) => join(folder.path, name);
  const server: MysqlServer = {
    type: "mysql",
    host: join(folder.here, "socket"),
    port: 3306,
    user: "root",
    tls: { mode: "disable", caFile: null },
  };
  try {
    const common = ["--no-defaults", `--datadir=${at("data")}`];
    const made = [...common, "--auth-root-authentication-method=normal", "--skip-test-db"];
    await makeFiles({ ...asAccount(account, install, made), folder }, signal);
    mkdirSync(at("files"), { mode: 0o700 });
    const args = [
      ...common,
      "--skip-networking",
      `--socket=${join(folder.inherited, "socket")}`,
      `--pid-file=${at("pid")}`,
      // What is loaded may be anybody's: it reads and writes no files of this machine and starts no events.
      `--secure-file-priv=${at("files")}`,
      "--event-scheduler=OFF",
      "--innodb-flush-log-at-trx-commit=0",
      "--innodb-buffer-pool-size=64M",
      "--max-allowed-packet=1G",
    ];
    const access = { secrets: { password: null }, workDir, signal };
    const running = await startServer({ ...asAccount(account, mariadbd, args), folder }, signal, async () =>
      (await openMysql(server, access)).close(),
    );
    const version = /Ver (\S+)/.exec((await versionOf(mariadbd)) ?? "")?.[1] ?? "";
    return {
      server,
      version: `MariaDB ${version.replace(/-MariaDB.*/, "")}`,
      async close() {
        await running.end();
        folder.close();
      },
    };
  } catch (error) {
    folder.close();
    throw error;
  }
}

/**
 * Unlike PostgreSQL it must be able to walk down to its files by their real path, through folders that are this user's
 * alone. It may look into folders for that, and gets no other right of root.
 */
function asAccount(account: Account | null, program: string, args: string[]) {
  if (account === null) return { program, args, account };
  const setpriv = findProgram(["setpriv"]);
  if (setpriv === null)
    throw new CannotCheck(
      "a temporary MariaDB server must not run as root, and setpriv is not installed here",
    );
  const rights = [
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    "--clear-groups",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
    "--no-new-privs",
  ];
  return { program: setpriv, args: [...rights, program, ...args], account: null };
}
