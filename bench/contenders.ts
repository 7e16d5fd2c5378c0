import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { agentFile } from "./built-agent.ts";

/**
 * A way to back a tree up. Its scripts run in bash with TREE (the directory, which is NAME below PARENT), OUT (where the
 * backup goes) and BACK (where it is restored to) in the environment.
 */
export type Contender = {
  name: string;
  /** Programs without which it is left out. */
  needs: string[];
  /** Far from the others and long: once is enough. */
  slow?: boolean;
  /** Whom its time is a ratio of. */
  against?: string;
  env?: Record<string, string>;
  /** What happens before its clock starts, such as making a repository. */
  prepare?: string;
  first: string;
  /** The same again with nothing changed. */
  second?: string;
  restore?: string;
};

const agent = `${process.execPath} ${agentFile("bin/backupx-agent.mjs")}`;
/** A key of this run alone. */
const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);

const tarZstd = (level: number): Contender => ({
  name: `tar, zstd -T0 -${level}`,
  needs: ["tar", "zstd"],
  first: `tar -C "$PARENT" -cf - "$NAME" | zstd -q -T0 -${level} > "$OUT/a.tar.zst"`,
  restore: 'zstd -dcq "$OUT/a.tar.zst" | tar -C "$BACK" -xf -',
});

/** The artifact's hash, which a master knows: with it, a restore proves the artifact without unpacking all of it first. */
const sha256 = 's/^  "sha256": "\\(.*\\)",$/\\1/p';

type Ours = { name: string; options: string; against: string; file: string; encrypted?: boolean };
const ours = ({ name, options, against, file, encrypted = false }: Ours): Contender => ({
  name,
  needs: [],
  against,
  env: { KEY: identity },
  first: `${agent} backup "$TREE" --to "$OUT" --name a ${options}${encrypted ? ` --recipient ${recipient}` : ""} --json > "$OUT.json"`,
  restore: `${encrypted ? 'printf "%s\\n" "$KEY" > "$BACK.key"; chmod 600 "$BACK.key"; ' : ""}${agent} restore "$OUT"/a-*.${file} --to "$BACK" --sha256 "$(sed -n '${sha256}' "$OUT.json")"${encrypted ? ' --identity "$BACK.key"' : ""}`,
});

export const contenders: Contender[] = [
  tarZstd(1),
  ours({ name: "ours, level 1", options: "--level 1", against: "tar, zstd -T0 -1", file: "tar.zst" }),
  ours({
    name: "ours, level 1, encrypted",
    options: "--level 1",
    against: "ours, level 1",
    file: "tar.zst.age",
    encrypted: true,
  }),
  tarZstd(3),
  ours({ name: "ours, level 3", options: "--level 3", against: "tar, zstd -T0 -3", file: "tar.zst" }),
  ours({
    name: "ours, level 3, encrypted",
    options: "--level 3",
    against: "ours, level 3",
    file: "tar.zst.age",
    encrypted: true,
  }),
  {
    name: "tar",
    needs: ["tar"],
    first: 'tar -C "$PARENT" -cf - "$NAME" > "$OUT/a.tar"',
    restore: 'tar -C "$BACK" -xf "$OUT/a.tar"',
  },
  ours({ name: "ours, uncompressed", options: "--compression none", against: "tar", file: "tar" }),
  {
    name: "tar --listed-incremental",
    needs: ["tar"],
    first: 'tar -C "$PARENT" -g "$OUT.list" -cf - "$NAME" > "$OUT/a.tar"',
    second: 'tar -C "$PARENT" -g "$OUT.list" -cf - "$NAME" > "$OUT/b.tar"',
  },
  {
    name: "tar, pigz -6",
    needs: ["tar", "pigz"],
    slow: true,
    first: 'tar -C "$PARENT" -cf - "$NAME" | pigz -6 > "$OUT/a.tar.gz"',
    restore: 'pigz -dc "$OUT/a.tar.gz" | tar -C "$BACK" -xf -',
  },
  {
    ...ours({ name: "ours, gzip", options: "--compression gzip", against: "tar, pigz -6", file: "tar.gz" }),
    slow: true,
  },
  {
    name: "restic",
    needs: ["restic"],
    slow: true,
    env: { RESTIC_PASSWORD: "bench" },
    prepare: 'restic -q -r "$OUT" --no-cache init',
    first: 'restic -q -r "$OUT" --no-cache backup "$TREE"',
    second: 'restic -q -r "$OUT" --no-cache backup "$TREE"',
    restore: 'restic -q -r "$OUT" --no-cache restore latest --target "$BACK"',
  },
  {
    name: "borg, lz4, no encryption",
    needs: ["borg"],
    slow: true,
    env: { BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes", BORG_RELOCATED_REPO_ACCESS_IS_OK: "yes" },
    prepare: 'borg init -e none "$OUT"',
    first: 'borg create "$OUT::a" "$TREE"',
    second: 'borg create "$OUT::b" "$TREE"',
    restore: 'cd "$BACK" && borg extract "$OUT::a"',
  },
  {
    name: "rclone copy",
    needs: ["rclone"],
    slow: true,
    first: 'rclone -q copy --links --transfers 8 "$TREE" "$OUT"',
    second: 'rclone -q copy --links --transfers 8 "$TREE" "$OUT"',
    restore: 'rclone -q copy --links --transfers 8 "$OUT" "$BACK"',
  },
];
