// Stands in for SAP HANA's hdbsql, which is not to be had: its options, and a server that writes data backups into files
// on its own disk. The server is a JSON file, named by FAKE_HANA: key, databases, directory, catalog, and a fault.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hanaBackupFile } from "./hana-backup-file.ts";

const args = process.argv.slice(2);
if (args[0] === "-v") {
  console.log("HDBSQL version 2.20.15, the SAP HANA Database interactive terminal.");
  process.exit(0);
}
const stateFile = process.env.FAKE_HANA;
const server = JSON.parse(readFileSync(stateFile, "utf8"));

const fail = (message, code) => {
  process.stderr.write(`* ${message}\n`);
  process.exit(code);
};

const takesValue = { "-U": true, "-d": true, "-I": true, "-ssltruststore": true };
const options = {};
for (let at = 0; at < args.length; at += 1) {
  if (
    !["-U", "-d", "-a", "-x", "-j", "-C", "-e", "-I", "-ssltrustcert", "-ssltruststore"].includes(args[at])
  ) {
    fail(`unknown option ${args[at]}`, 1);
  }
  options[args[at]] = takesValue[args[at]] ? args[++at] : true;
}
if (options["-U"] !== server.key) fail("-10104: Invalid value for KEY (no such key in hdbuserstore)", 3);

const sql = readFileSync(options["-I"], "utf8").trim();
const backup = /^BACKUP DATA FOR "((?:[^"]|"")+)" USING FILE \('(\w+)'\);$/.exec(sql);
if (backup) {
  const [, database, prefix] = backup;
  if (!(database in server.databases)) fail("448: recovery could not be completed: database not found", 9);
  const folder = join(server.directory, database === "SYSTEMDB" ? database : `DB_${database}`);
  mkdirSync(folder, { recursive: true });
  const files = [0, 1].map((volume) => join(folder, `${prefix}_databackup_${volume}_1`));
  for (const [volume, file] of files.entries()) {
    writeFileSync(
      file,
      server.fault === "empty" ? "" : hanaBackupFile(database, volume, server.databases[database]),
    );
    server.catalog.push(file);
  }
  writeFileSync(stateFile, JSON.stringify(server));
  if (server.fault === "die")
    fail("447: backup could not be completed, [2000003] error while writing: no space left", 9);
  if (server.fault === "kill") process.kill(process.pid, "SIGKILL");
  if (server.fault === "hang") setInterval(() => {}, 1000);
} else if (/M_DATABASES/.test(sql)) {
  for (const name of Object.keys(server.databases)) console.log(`"${name}"`);
} else if (/M_BACKUP_CATALOG_FILES/.test(sql)) {
  const [, prefix] = /LIKE '%\/(\w+)%'/.exec(sql);
  for (const file of server.catalog.filter((path) => path.includes(`/${prefix}`))) console.log(`"${file}"`);
} else fail("257: sql syntax error", 1);
