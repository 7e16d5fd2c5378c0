import { mkdtemp } from "node:fs/promises";
import { basename, join } from "node:path";
import { removeTree } from "../../remove-tree.ts";
import { type DumpSink, readDumps } from "../../sources/dump-archive.ts";
import { backupCheckProgram, backupCheckRun } from "../../sources/saphana-session.ts";
import type { ContentCheck, Looked } from "./content-check.ts";
import { counted } from "./counted.ts";
import { CannotCheck, type Finding, notChecked, passed, type VerifyJob } from "./finding.ts";
import { judgedBy } from "./judged-by.ts";
import { ScratchFile } from "./scratch-file.ts";

const name = "dump";
const leastMs = 3_600_000;
/** A disk that reads less than 16 MB in a second has a fault. */
const bytesPerMs = 16_000;

/**
 * The files of SAP HANA's own data backups. SAP's hdbbackupcheck looks into each, which needs it as a file, so one after
 * the other is put into the work directory. No system is started for them, so the fourth grade cannot be reached.
 */
export function checkSaphana(job: VerifyJob, looked: Looked): ContentCheck {
  return {
    name,
    async open(content) {
      const program = backupCheckProgram();
      const folder = await mkdtemp(join(job.workDir, "hana-"));
      const findings: Finding[] = [];
      try {
        await readDumps(counted(content, looked), {
          suffix: "",
          only: null,
          open: async (member) => {
            if (member.kind === "dump") return null;
            looked.currentPath = member.name;
            looked.entries += 1;
            return program === null ? null : fileFor(member.name, { program, folder, job, findings });
          },
        });
      } finally {
        await removeTree(folder);
      }
      if (looked.entries === 0) throw new CannotCheck("there is no backup of SAP HANA in it");
      return program === null ? [notLookedInto(looked)] : findings;
    },
    async restore() {
      const reason =
        "no SAP HANA system is started for a verification: 3 is the highest grade for its backups";
      return [notChecked("restore", reason)];
    },
  };
}

const notLookedInto = ({ entries }: Looked): Finding =>
  notChecked(
    name,
    `its archive of ${entries} files was read to its end, but what looks into them, SAP's hdbbackupcheck, is not on this machine: verify it on the server's own`,
  );

type Place = { program: string; folder: string; job: VerifyJob; findings: Finding[] };

async function fileFor(member: string, { program, folder, job, findings }: Place): Promise<DumpSink> {
  const copy = new ScratchFile(job.workDir);
  const path = join(folder, basename(member));
  await copy.begin(path);
  return {
    write: (bytes) => copy.write(bytes),
    async end() {
      const sizeBytes = await copy.end();
      const judge = {
        name,
        start: (signal: AbortSignal) => backupCheckRun(program, path, signal),
        timeoutMs: leastMs + Math.ceil(sizeBytes / bytesPerMs),
        remedy: "the disk of the work directory is too slow for it",
      };
      const damage = await judgedBy(job, judge, async () => {});
      const good = passed(name, `hdbbackupcheck has found nothing wrong with ${member} (${sizeBytes} bytes)`);
      findings.push(damage ? { ...damage, detail: `${member}: ${damage.detail}` } : good);
    },
    stop: () => copy.remove(),
  };
}
