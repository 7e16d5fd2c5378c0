import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { defaultPaths } from "../config.ts";
import { ExitError } from "../exit-codes.ts";
import { makeFolders } from "../make-folders.ts";
import { printJson, printLine } from "./print.ts";

type Options = { output?: string; json?: boolean };

/** Makes a pair of keys: the private one goes to a file that nobody else can read, the public one to the screen. */
export async function makeKeys(options: Options): Promise<void> {
  const identityFile = resolve(options.output ?? join(defaultPaths().configDir, "identity.txt"));
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  writeNew(identityFile, fileText(identity, recipient));
  if (options.json) return printJson({ recipient, identityFile });
  // The key stands alone on standard output, for programs; what to do with it is for people.
  process.stderr.write(
    `The private key is in ${identityFile}. Keep a copy of it elsewhere: without it no backup can be restored.\n` +
      "This is its public key; give it to the tasks that shall encrypt:\n",
  );
  printLine(recipient);
}

/** As `age-keygen` writes it, so that `age -d -i FILE` takes it. */
const fileText = (identity: string, recipient: string): string =>
  `# created: ${new Date().toISOString().replace(/\.\d+/, "")}\n# public key: ${recipient}\n${identity}\n`;

function writeNew(file: string, text: string): void {
  try {
    makeFolders(dirname(file), 0o700);
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === "EEXIST"
        ? "exists already and is not overwritten: the key in it may be the only one that opens your backups"
        : `cannot be written: ${code ?? message}`;
    throw new ExitError("failed", `${file} ${reason}`);
  }
}
