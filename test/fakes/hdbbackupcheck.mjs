// Stands in for SAP HANA's hdbbackupcheck, which is not to be had. Known of it are its option, that it needs the libraries
// beside it, that it tells the facts of a backup on its standard output, and that its exit code is not 0 for a file
// that is not as it was written. The words in which it complains are made up.
import { readFileSync } from "node:fs";
import { readHanaBackupFile } from "./hana-backup-file.ts";

const [folder, ...args] = process.argv.slice(2);
if (process.env.LD_LIBRARY_PATH !== folder) {
  process.stderr.write("hdbbackupcheck: error while loading shared libraries: libhdbbasis.so\n");
  process.exit(127);
}
const [option, file, ...more] = args;
if (option !== "-v" || file === undefined || more.length > 0) {
  console.log("Usage: hdbbackupcheck [options] <backup>");
  process.exit(1);
}
if (!/_databackup_\d+_\d+$/.test(file)) {
  console.log(`ERROR: ${file} is not the name of a backup`);
  process.exit(1);
}
const { facts, fault } = readHanaBackupFile(readFileSync(file, "utf8"));
for (const fact of facts) console.log(fact);
if (fault !== null) {
  console.log(`ERROR: ${fault}`);
  process.exitCode = 1;
}
