import type { z } from "zod";
import type { adminApi } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

type Found = z.input<typeof adminApi.search.reply>["items"][number];

/** Of each kind. */
const SHOWN = 6;
const HIGHEST = "\u{10FFFF}";
/** Names of each kind that are read through for what no index knows: those of the newest. */
const SCAN_LIMIT = 1000;

/**
 * Nodes, tasks and targets with what was typed in their name, and the record whose number it is. How names begin is
 * looked up in their index, as typed and in the other case; only when that finds few, the newest thousand are read through.
 */
export async function search({ db }: Deps, text: string): Promise<{ items: Found[] }> {
  const beginnings = JSON.stringify(
    [...new Set([text, text.toLowerCase(), text.toUpperCase(), capitalised(text)])].map((from) => ({
      from,
      to: from + HIGHEST,
    })),
  );
  const named = (kind: Found["kind"], table: string) =>
    db
      .prepare(
        `select '${kind}' as kind, id, name from (
           select * from (
             select distinct t.id, t.name from json_each(?1) b
             cross join ${table} t on t.name >= b.value ->> 'from' and t.name < b.value ->> 'to' limit ${SHOWN})
           union all select * from (
             select id, name from (select id, name from ${table} order by id desc limit ${SCAN_LIMIT}) t
             where instr(lower(name), lower(?2)) > 0 and not exists (
               select 1 from json_each(?1) b where t.name >= b.value ->> 'from' and t.name < b.value ->> 'to')
             limit ${SHOWN}))
         limit ${SHOWN}`,
      )
      .bind(beginnings, text);
  const results = await db.batch<Found>([
    named("node", "nodes"),
    named("task", "backup_tasks"),
    named("target", "storage_targets"),
    db
      .prepare("select 'record' as kind, id, task_name as name from backup_records where id = ?")
      .bind(/^#?[1-9]\d{0,14}$/.test(text) ? Number(text.replace("#", "")) : 0),
  ]);
  return { items: results.flatMap(({ results: found }) => found) };
}

const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
