import type { z } from "zod";
import { objects, type overview } from "../../protocol/index.ts";
import type { Deps } from "../deps.ts";

type Attention = z.input<typeof overview>["attention"];
type Some<T> = { count: number; items: T[] };
export type Target = {
  id: number;
  name: string;
  usedBytes: number;
  quotaBytes: number | null;
  lastTest: string | null;
};

const SHOWN = 5;
/** Nobody reads on beyond this; it bounds what a bad day costs. */
const COUNTED = 50;
const PATIENCE_MS = 30 * 60_000;
const VERIFICATIONS_LOOKED_AT = 30;
const FILLING = 0.9;

/** `found` names what is wrong along an index, at most COUNTED of it; `shown` tells of the first of them. */
const first = (found: string, shown: string) =>
  `with found as materialized (${found} limit ${COUNTED}) ${shown.replace("select", "select (select count(*) from found) as total,")} limit ${SHOWN}`;

const tasks = (where: string, order: string) =>
  `select id as found_id from backup_tasks where ${where} order by ${order}`;

const queries = {
  failing: first(
    tasks("outcome <> 'success' and enabled = 1", "ended_at desc"),
    `select t.id as taskId, t.name, t.outcome, t.ended_at as at, r.id as recordId,
       coalesce(r.error_message, '') as error
     from found cross join backup_tasks t on t.id = found_id left join backup_records r on r.id = t.ended_record_id`,
  ),
  overdue: first(
    tasks("overdue_at is not null and overdue_at < ?1", "overdue_at"),
    `select t.id as taskId, t.name, t.overdue_at as dueAt, t.succeeded_at as succeededAt
     from found cross join backup_tasks t on t.id = found_id`,
  ),
  waiting: first(
    `select id as found_id from (
       select id, created_at from backup_records where status = 'queued' order by id limit ${COUNTED})
     where created_at < ?1`,
    `select r.id as recordId, r.task_name as name, n.name as nodeName, r.created_at as since
     from found cross join backup_records r on r.id = found_id left join nodes n on n.id = r.node_id`,
  ),
  offline: first(
    "select id as found_id from nodes where status <> 'online' and status = 'offline' order by id desc",
    `select n.id as nodeId, n.name, n.last_seen as lastSeen from found cross join nodes n on n.id = found_id`,
  ),
  shrunk: first(
    tasks("shrunk_at is not null", "shrunk_at desc"),
    `select t.id as taskId, t.name, r.id as recordId,
       coalesce(r.source_bytes, r.size_bytes, 0) as bytes, coalesce(t.usual_bytes, 0) as usualBytes
     from found cross join backup_tasks t on t.id = found_id left join backup_records r on r.id = t.ended_record_id`,
  ),
  unverified: first(
    tasks("verified_at is null and succeeded_at is not null and enabled = 1", "succeeded_at"),
    `select t.id as taskId, t.name, t.succeeded_at as succeededAt,
       iif(t.outcome = 'success', t.ended_record_id, null) as recordId
     from found cross join backup_tasks t on t.id = found_id`,
  ),
};

/** The statements that look for what needs attention; `attentionOf` reads their results. */
export function attentionStatements({ db, now }: Deps): D1PreparedStatement[] {
  return [
    db.prepare(queries.failing),
    db.prepare(queries.overdue).bind(now()),
    db.prepare(queries.waiting).bind(now() - PATIENCE_MS),
    db.prepare(queries.offline),
    db.prepare(queries.shrunk),
    db.prepare(queries.unverified),
    db.prepare(
      `select v.id as verificationId, v.record_id as recordId, v.target_id as targetId, v.status,
         coalesce(r.task_name, '') as name, t.name as targetName, v.error_message as error
       from (select * from verifications order by id desc limit ${VERIFICATIONS_LOOKED_AT}) v
       left join backup_records r on r.id = v.record_id left join storage_targets t on t.id = v.target_id
       order by v.id desc`,
    ),
  ];
}

export function attentionOf(results: D1Result[], targets: Target[]): Attention {
  const [failing, overdue, waiting, offline, shrunk, unverified, verifications] = results;
  return {
    failing: someOf(failing),
    overdue: someOf(overdue),
    waiting: someOf(waiting),
    offline: someOf(offline),
    damaged: damagedOf((verifications?.results ?? []) as Verified[]),
    shrunk: someOf(shrunk),
    filling: fillingOf(targets),
    broken: brokenOf(targets),
    unverified: someOf(unverified),
  };
}

function someOf<T>(result: D1Result | undefined): Some<T> {
  const rows = (result?.results ?? []) as (T & { total: number })[];
  return { count: rows[0]?.total ?? 0, items: rows };
}

type Verified = Attention["damaged"]["items"][number] & { targetId: number; status: string };

/** Newest first: of each copy only the last word counts. */
function damagedOf(verifications: Verified[]): Attention["damaged"] {
  const heard = new Set<string>();
  const damaged = verifications.filter(({ recordId, targetId, status }) => {
    if (status !== "success" && status !== "failed") return false;
    const copy = `${recordId} ${targetId}`;
    if (heard.has(copy)) return false;
    heard.add(copy);
    return status === "failed";
  });
  return { count: damaged.length, items: damaged.slice(0, SHOWN) };
}

function fillingOf(targets: Target[]): Attention["filling"] {
  const filling = targets.flatMap(({ id, name, usedBytes, quotaBytes }) =>
    quotaBytes !== null && usedBytes >= quotaBytes * FILLING
      ? [{ targetId: id, name, usedBytes, quotaBytes }]
      : [],
  );
  return { count: filling.length, items: filling.slice(0, SHOWN) };
}

function brokenOf(targets: Target[]): Attention["broken"] {
  const broken = targets.flatMap(({ id, name, lastTest }) => {
    const test = lastTest === null ? null : objects.targetTest.parse(JSON.parse(lastTest));
    return test === null || test.ok ? [] : [{ targetId: id, name, at: test.at, error: test.message }];
  });
  return { count: broken.length, items: broken.slice(0, SHOWN) };
}
