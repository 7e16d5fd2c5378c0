import { z } from "zod";
import type { Deps } from "../deps.ts";

type Secrets = Record<string, unknown>;
type Sealed = { secrets: string | null; secretNames: string };

/** Where a target's secrets are bound to: text that was copied to another row does not open there. */
const place = (sealId: string) => `storage_targets:${sealId}`;

/** Columns for these secrets; nothing is sealed when there are none. */
export async function sealSecrets({ sealer }: Deps, sealId: string, secrets: Secrets): Promise<Sealed> {
  const names = Object.keys(secrets).sort();
  return {
    secrets: names.length === 0 ? null : await sealer.seal(place(sealId), secrets),
    secretNames: JSON.stringify(names),
  };
}

/** A target's secrets in the open: only for a node with a command for it in hand, or to change some of them. */
export async function openSecrets(
  { sealer }: Deps,
  row: { sealId: string; secrets: string | null },
): Promise<Secrets> {
  if (row.secrets === null) return {};
  return z.record(z.string(), z.unknown()).parse(await sealer.open(place(row.sealId), row.secrets));
}
