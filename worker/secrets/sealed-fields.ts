import { z } from "zod";
import type { Deps } from "../deps.ts";

type Secrets = Record<string, unknown>;
export type SealedFields = { secrets: string | null; secretNames: string };
/** Tables with columns `secrets`, `secret_names` and `seal_id`. */
type Table = "storage_targets" | "backup_tasks";

/** Where secrets are bound to: text that was copied to another row does not open there. */
const place = (table: Table, sealId: string) => `${table}:${sealId}`;

/** Columns for these secrets; nothing is sealed when there are none. */
export async function sealSecrets(
  { sealer }: Deps,
  table: Table,
  sealId: string,
  secrets: Secrets,
): Promise<SealedFields> {
  const names = Object.keys(secrets).sort();
  return {
    secrets: names.length === 0 ? null : await sealer.seal(place(table, sealId), secrets),
    secretNames: JSON.stringify(names),
  };
}

/** A row's secrets in the open: only for a node with a command for it in hand, or to change some of them. */
export async function openSecrets(
  { sealer }: Deps,
  table: Table,
  row: { sealId: string; secrets: string | null },
): Promise<Secrets> {
  if (row.secrets === null) return {};
  return z.record(z.string(), z.unknown()).parse(await sealer.open(place(table, row.sealId), row.secrets));
}

/** What is sent replaces what was there, null takes it away, what is not sent stays. */
export function mergeSettings(old: Secrets, sent: Secrets | undefined): Secrets {
  const merged = { ...old, ...sent };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}
