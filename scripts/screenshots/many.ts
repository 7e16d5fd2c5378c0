import { adminApi } from "../../protocol/index.ts";
import { administrator } from "../../test/e2e/administrator.ts";
import { startMaster } from "../../test/e2e/master.ts";
import { signIn } from "../sign-in.ts";
import type { Demo } from "./demo.ts";

type Row = Record<string, string | number | null>;
type Insert = (table: string, rows: Row[]) => Promise<void>;

const NODES = 500;
const TASKS = 1_000;
const RECORDS = 10_500;
const TARGETS = 24;
const RESTORES = 300;
const VERIFICATIONS = 1_000;
const DAY_MS = 86_400_000;
const DAYS = 120;
const SIGNS_EVERY_MS = 10_000;
/** Rows of one statement: all of them are one of its values, and those have a limit. */
const AT_ONCE = 500;

/**
 * A master of a large fleet with everything in it that is hard to show: long names, every state, much that is wrong.
 * Nobody is there: its rows are written straight into the database, and its nodes' signs of life too.
 */
export async function startMany(): Promise<Demo> {
  const master = await startMaster();
  const { DB } = master;
  const insert: Insert = async (table, rows) => {
    const columns = Object.keys(rows[0] ?? {});
    for (let from = 0; from < rows.length; from += AT_ONCE)
      await DB.prepare(
        `insert or replace into ${table} (${columns.join(", ")})
         select ${columns.map((column) => `value ->> '${column}'`).join(", ")} from json_each(?)`,
      )
        .bind(JSON.stringify(rows.slice(from, from + AT_ONCE)))
        .run();
  };
  const run = (sql: string, ...values: unknown[]) =>
    DB.prepare(sql)
      .bind(...values)
      .run();
  const now = Date.now();
  const { call } = await administrator(master.url);
  const anna = { username: "anna", password: "a password of pictures" };
  await call(adminApi.createUser, { body: { ...anna, role: "admin" } });
  await insert("users", people(now));
  await insert("api_keys", keys(now));
  await insert(
    "nodes",
    range(NODES).map((i) => node(i, now)),
  );
  for (const i of range(TARGETS)) await call(adminApi.createTarget, { body: target(i) });
  await run(
    `update storage_targets set used_bytes = id * 7654321098, quota_bytes = iif(id % 3 = 0, id * 8000000000, null),
       last_test = iif(id % 6 = 5, ?1, null)`,
    JSON.stringify({
      at: now - 3_600_000,
      nodeId: 4,
      nodeName: nodeName(4),
      ok: false,
      milliseconds: null,
      message: longError(5),
    }),
  );
  await insert(
    "backup_tasks",
    range(TASKS).map((i) => task(i, now)),
  );
  await insert(
    "task_tags",
    range(TASKS).flatMap((i) => tagsOf(i).map((tag) => ({ tag, task_id: i }))),
  );
  await insert(
    "task_targets",
    range(TASKS).flatMap((i) =>
      targetsOf(i).map((target_id, position) => ({ task_id: i, target_id, position })),
    ),
  );
  await insert(
    "backup_records",
    range(RECORDS).map((i) => record(i, now)),
  );
  await insert(
    "record_copies",
    range(RECORDS).flatMap((i) => copies(i, now)),
  );
  await insert(
    "agent_commands",
    range(RECORDS).map((i) => command(i, now)),
  );
  await insert(
    "restore_records",
    range(RESTORES).map((i) => restore(i, now)),
  );
  await insert(
    "verifications",
    range(VERIFICATIONS).map((i) => verification(i, now)),
  );
  await insert(
    "audit_logs",
    range(2_000).map((i) => auditEntry(i, now)),
  );
  await insert(
    "notifications",
    range(200).map((i) => notification(i, now)),
  );
  await insert(
    "record_logs",
    range(6_000).map((seq) => logLine(seq, now)),
  );
  await insert(
    "daily_counts",
    range(30).map((day) => dayCount(day, now)),
  );
  await insert("tallies", [
    { name: "nodes", value: NODES },
    { name: "tasks", value: TASKS },
  ]);
  await run(
    `update backup_tasks set outcome = r.status, ended_at = r.finished_at, ended_record_id = r.id,
       succeeded_at = iif(r.status = 'success' or backup_tasks.id % 3 = 0, r.finished_at, null),
       shrunk_at = iif(backup_tasks.id % 150 = 0, r.finished_at, null), usual_bytes = 80000000000
     from (select task_id, max(id) as id, status, finished_at from backup_records
           where status in ('success', 'failed', 'missed') group by task_id) r where r.task_id = backup_tasks.id`,
  );
  await run("update nodes set task_count = (select count(*) from backup_tasks where node_id = nodes.id)");
  const signs = () =>
    run(
      "update nodes set last_seen = ? - id % 12 * 1000 where status = 'online' and connection = 'poll'",
      Date.now(),
    );
  await signs();
  const timer = setInterval(() => void signs(), SIGNS_EVERY_MS);
  return {
    url: master.url,
    fresh: master.url,
    cookies: await signIn(master.url, anna),
    call,
    ids: {
      node: 25,
      task: 25,
      record: SHOWN,
      failed: RECORDS - 3,
      running: RECORDS,
      restore: RESTORES,
      target: 2,
    },
    async stop() {
      clearInterval(timer);
      await master.close();
    },
  };
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const of = <T>(values: readonly T[], i: number): T => values[i % values.length] as T;
/** The record whose page is shown: of a task with a long name. */
const SHOWN = RECORDS - 75;

const longError = (i: number) =>
  of(
    [
      "the storage refused the upload: 507 Insufficient Storage, after 3 attempts, while writing BackupX/records/2026/11/28/customers-database-of-the-region-eu-central-1.tar.zst.age (part 118 of 240)",
      "EACCES: permission denied, open '/var/lib/docker/volumes/4f1c2e9b7a6d5c4b3a29181706f5e4d3c2b1a0998877665544332211ffeeddcc/_data/private/keys/master.pem'",
      'pg_dump: error: connection to server at "db-primary.internal.customers.example-hosting-company.com" (10.20.30.40), port 5432 failed: FATAL: no pg_hba.conf entry for host',
      "no such path",
      "the agent stopped answering",
      "dial tcp: lookup s3.eu-central-1.example-hosting-company.com: no such host",
    ],
    i,
  );

function nodeName(i: number): string {
  const number = String(i).padStart(3, "0");
  if (i % 25 === 0)
    return `prod-eu-central-1-kubernetes-worker-${number}.cluster-7.customers.example-hosting-company.com`;
  if (i % 10 === 3) return `Accounting and payroll, second floor, the computer beside the window, ${number}`;
  return `${of(["web", "db", "files", "mail", "build", "cache"], i)}-${number}`;
}

function node(i: number, now: number): Row {
  const status = i % 17 === 0 ? "offline" : i % 29 === 0 ? "pending" : "online";
  const seen = status === "online" ? now : now - (i % 40) * DAY_MS - 60_000;
  const labels = [
    "web",
    "env=prod",
    "region=eu-central-1",
    "team=platform-and-infrastructure",
    "tier=1",
    "backup",
    "customer=example-hosting-company",
    "rack=r42",
  ];
  const known = status !== "pending";
  return {
    name: nodeName(i),
    token_sha256: `token-${i}`,
    status,
    connection: known ? "poll" : "never",
    last_seen: known ? seen : null,
    hostname: known
      ? i % 5 === 0
        ? `${"very-".repeat(1 + (i % 4))}long-host-name-${i}.customers.example.com`
        : `host-${i}.example.com`
      : "",
    ip_address: known
      ? i % 4 === 0
        ? `2001:db8:85a3:8d3:1319:8a2e:370:${i}`
        : `10.20.${i >> 8}.${i % 256}`
      : "",
    os: known
      ? of(
          [
            "Debian GNU/Linux 13 (trixie)",
            "Ubuntu 24.04.3 LTS",
            "Red Hat Enterprise Linux Server release 9.4 (Plow)",
            "Alpine Linux v3.22",
            "Darwin 25.1.0",
          ],
          i,
        )
      : "",
    arch: known ? of(["x64", "arm64", "x64"], i) : "",
    agent_version: known ? of(["0.1.0", "0.1.0", "0.0.9", "0.1.0-rc.3+build.20261127"], i) : "",
    protocol_version: i % 60 === 7 ? null : 1,
    clone_suspected_at: i % 90 === 1 ? now : null,
    labels: JSON.stringify(labels.slice(0, i % 25 === 0 ? 8 : i % 4)),
    paused: i % 31 === 0 ? 1 : 0,
    max_concurrent: 1 + (i % 3),
    capabilities: JSON.stringify({
      sources: ["file", "sqlite", "command"],
      storages: ["local_disk", "vault", "s3", "sftp"],
      engines: { archive: "1" },
      commands: range(i % 30).map((n) => `dump-of-customer-${n}`),
      hooks: ["stop-services"],
    }),
    free_disk_bytes: i * 123_456_789,
    created_at: now - DAYS * DAY_MS,
    updated_at: now,
  };
}

function target(i: number) {
  if (i === 1) return { name: "Vault", type: "vault" as const };
  const name =
    i % 4 === 2
      ? `Second copy for the auditors, kept in the other building, cabinet ${i} (do not remove before 2031)`
      : `Storage ${i}`;
  return {
    name,
    type: "local_disk" as const,
    config: { path: `/mnt/backup-storage/${"with/many/levels/".repeat(1 + (i % 5))}volume-${i}` },
  };
}

const tagsOf = (i: number) =>
  i % 25 === 0
    ? ["daily", "customers", "databases", "compliance-2026", "team-platform-infrastructure", "do-not-pause"]
    : [of(["daily", "weekly", "hourly"], i), ...(i % 3 === 0 ? [`customer-${i % 60}`] : [])];
const targetsOf = (i: number) => (i % 25 === 0 ? [1, 2, 3, 6, 10] : [1 + (i % TARGETS)]);

const taskName = (i: number) =>
  i % 25 === 0
    ? `All databases of the customers in the region eu-central-1, with their write-ahead logs, number ${i}`
    : i % 25 === 7
      ? `nightly_full_backup_of_customer_volumes_without_any_blank_in_its_name_${i}`
      : `${of(["Home directories", "Orders", "Website", "Configuration", "Mail"], i)} ${i}`;

function sourceOf(i: number) {
  if (i % 6 === 1)
    return {
      type: "postgresql",
      host: "db-primary.internal.customers.example-hosting-company.com",
      port: 5432,
      user: "backup",
      databases: range(1 + (i % 40)).map((n) => `customer_database_${n}`),
    };
  if (i % 6 === 2) return { type: "sqlite", paths: ["/var/lib/orders/orders.sqlite"] };
  if (i % 6 === 3)
    return { type: "command", name: "dump-of-the-directory-service-with-all-its-certificates" };
  const paths = range(i % 25 === 0 ? 30 : 1 + (i % 3)).map(
    (n) => `/srv/customers/${"department-of-long-names/".repeat(1 + (n % 3))}volume-${n}`,
  );
  return { type: "file", paths, excludes: ["*.tmp", "node_modules/"] };
}

function task(i: number, now: number): Row {
  const byHand = i % 11 === 0;
  return {
    name: taskName(i),
    source: JSON.stringify(sourceOf(i)),
    pipeline: JSON.stringify(i % 4 === 0 && i % 6 === 0 ? { differential: { fullEveryDays: 7 } } : {}),
    node_id: i % 50 === 9 ? null : nodeOf(i),
    pool_label: i % 50 === 9 ? "team=platform-and-infrastructure" : null,
    schedule: byHand
      ? null
      : of(["15 2 * * *", "0 * * * *", "*/20 7-18 * * mon-fri", "30 22 1,15 * *", "0 4 * * sun"], i),
    time_zone: of(["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"], i),
    next_run_at: byHand ? null : now + (i % 300) * 600_000 + 60_000,
    retention:
      i % 3 === 0
        ? null
        : JSON.stringify({ keepLast: 7, keepDaily: 14, keepWeekly: 8, keepMonthly: 12, keepYearly: 3 }),
    verified_at: i % 7 === 0 ? now - DAY_MS : null,
    verified_grade: i % 7 === 0 ? 3 : null,
    overdue_at: i % 30 === 4 ? now - DAY_MS : null,
    enabled: i % 40 === 0 ? 0 : 1,
    tags: JSON.stringify(tagsOf(i)),
    created_at: now - DAYS * DAY_MS,
    updated_at: now,
  };
}

/** A quarter of the tasks are on twenty busy nodes. */
const nodeOf = (taskId: number) =>
  taskId % 4 === 0 || taskId % 25 === 0 ? 25 * (1 + (taskId % 20)) : 1 + (taskId % NODES);
/** Any thousand records after each other are of all tasks. */
const taskOf = (recordId: number) => 1 + ((recordId * 7919) % TASKS);
const madeAt = (i: number, now: number) =>
  now - Math.round(((RECORDS - i) / RECORDS) ** 2 * DAYS * DAY_MS) - 60_000;

function recordStatus(i: number): string {
  if (i > RECORDS - 60)
    return i === SHOWN ? "success" : of(["running", "queued", "success", "failed", "success"], RECORDS - i);
  if (i === SHOWN) return "success";
  if (i % 23 === 0) return "failed";
  if (i % 97 === 0) return "cancelled";
  return i % 61 === 0 ? "missed" : "success";
}

function record(i: number, now: number): Row {
  const taskId = i === SHOWN ? 25 : taskOf(i);
  const status = recordStatus(i);
  const at = madeAt(i, now);
  const began = !["queued", "missed"].includes(status);
  const bytes = status === "success" ? ((i * 7_654_321) % 97) ** 5 * 7 + 1234 : 0;
  const source = sourceOf(taskId);
  return {
    task_id: taskId,
    task_name: taskName(taskId),
    node_id: nodeOf(taskId),
    command_id: i,
    attempt: 1,
    status,
    trigger: of(["schedule", "schedule", "manual", "catch_up"], i),
    source_type: source.type,
    compression: "zstd",
    source: JSON.stringify(source),
    target_ids: JSON.stringify(targetsOf(taskId)),
    kind: i % 5 === 1 ? "differential" : "full",
    base_record_id: i % 5 === 1 && i > 1000 ? i - 1000 : null,
    locked: i % 70 === 0 || i === SHOWN ? 1 : 0,
    verified_grade: status === "success" && i % 3 === 0 ? 1 + (i % 4) : null,
    verified_at: status === "success" && i % 3 === 0 ? at + 7_200_000 : null,
    file_name: `${taskName(taskId).toLowerCase().replace(/\W+/g, "-")}-${i}.tar.zst`,
    size_bytes: bytes,
    source_bytes: status === "success" ? bytes * 3 : null,
    entries: status === "success" ? (i * 37) % 4_000_000 : null,
    checksum: status === "success" ? "c0ffee".repeat(11).slice(0, 64) : null,
    warnings: JSON.stringify(
      i % 9 === 0
        ? range(100).map((n) => ({
            path: `/srv/customers/department-of-long-names/some-file-that-changed-while-it-was-read-${n}.log`,
            reason: "changed while it was read",
          }))
        : [],
    ),
    warning_count: i % 9 === 0 ? 12_345 : 0,
    progress:
      status === "running"
        ? JSON.stringify({
            phase: "packing",
            sourceBytes: i * 1_000_000,
            entries: i * 31,
            artifactBytes: i * 300_000,
            totalSourceBytes: i * 3_000_000,
            totalEntries: i * 97,
            currentPath:
              "/srv/customers/department-of-long-names/department-of-long-names/department-of-long-names/volume-1/some-file.bin",
          })
        : null,
    runs: status === "missed" ? 1 + (i % 90) : 1,
    error_message: status === "failed" || status === "missed" ? longError(i) : "",
    created_at: at,
    started_at: began ? at + 500 : null,
    finished_at: ["queued", "running"].includes(status)
      ? null
      : Math.min(now, at + 1000 + ((i * 7919) % 40) ** 4),
  };
}

const copies = (i: number, now: number): Row[] =>
  recordStatus(i) === "success"
    ? targetsOf(i === SHOWN ? 25 : taskOf(i)).map((target_id, position) => ({
        record_id: i,
        target_id,
        target_name: target(target_id).name,
        status: position === 3 ? "failed" : position === 4 ? "damaged" : "success",
        storage_path: `BackupX/records/${i}/${taskName(taskOf(i)).toLowerCase().replace(/\W+/g, "-")}.tar.zst`,
        size_bytes: i * 1000,
        error: position > 2 ? longError(position) : "",
        updated_at: madeAt(i, now),
      }))
    : [];

function command(i: number, now: number): Row {
  const status =
    {
      running: "dispatched",
      queued: "pending",
      failed: "failed",
      cancelled: "cancelled",
      missed: "timeout",
      success: "succeeded",
    }[recordStatus(i)] ?? "succeeded";
  const at = madeAt(i, now);
  const isOpen = status === "pending" || status === "dispatched";
  return {
    node_id: nodeOf(i === SHOWN ? 25 : taskOf(i)),
    type: isOpen
      ? "run_task"
      : of(["run_task", "run_task", "verify_record", "delete_storage_object", "inspect_archive"], i),
    lane: "work",
    status,
    payload: "{}",
    error_message: status === "failed" || status === "timeout" ? longError(i) : "",
    attempt: status === "pending" ? 0 : 1 + (i % 3),
    record_id: i,
    created_at: at,
    dispatched_at: status === "pending" ? null : at + 400,
    lease_expires_at: status === "dispatched" ? now + DAY_MS : null,
    completed_at: isOpen ? null : at + 5000,
    updated_at: at,
  };
}

function restore(i: number, now: number): Row {
  const status =
    i > RESTORES - 2
      ? "success"
      : of(["success", "success", "failed", "cancelled", "running", "queued"], i < RESTORES - 12 ? i % 4 : i);
  const at = now - (RESTORES - i) * 5_000_000 - 120_000;
  return {
    record_id: i === RESTORES ? SHOWN : i * 30 + 2,
    target_id: 1 + (i % TARGETS),
    node_id: 1 + ((i * 25) % NODES),
    status,
    destination:
      i % 3 === 0 ? null : `/srv/restored/${"for-the-department-of-long-names/".repeat(i % 6)}${i}`,
    selected_paths:
      i % 2 === 0
        ? JSON.stringify(range(40).map((n) => `/srv/customers/department-of-long-names/volume-${n}`))
        : null,
    conflict: of(["fail", "keep", "overwrite"], i),
    entries: status === "success" ? i * 3333 : null,
    bytes: status === "success" ? i * 98_765_432 : null,
    error_message: status === "failed" ? longError(i) : "",
    created_at: at,
    started_at: status === "queued" ? null : at + 1000,
    finished_at: ["queued", "running"].includes(status) ? null : at + 1000 * (i % 4000),
  };
}

function verification(i: number, now: number): Row {
  const status = of(["success", "success", "success", "incomplete", "failed", "cancelled"], i);
  const at = now - (VERIFICATIONS - i) * 2_000_000 - 90_000;
  const recordId = i === VERIFICATIONS ? SHOWN : RECORDS - 1000 + ((i * 3) % 900);
  const detail = status === "success" ? "every byte is what was stored" : longError(i);
  const outcome = status === "failed" ? "damaged" : status === "incomplete" ? "not_checked" : "passed";
  return {
    task_id: taskOf(recordId),
    record_id: recordId,
    target_id: 1 + (i % TARGETS),
    node_id: nodeOf(taskOf(recordId)),
    status,
    trigger: of(["schedule", "manual"], i),
    grade: 1 + (i % 4),
    reached_grade: status === "success" ? 1 + (i % 4) : null,
    report: JSON.stringify({
      checks: [
        { grade: 1, name: "size", outcome: "passed", detail: "" },
        { grade: 2, name: "hash", outcome, detail },
      ],
      differences: [],
      differenceCount: 0,
      entries: i * 100,
      bytes: i * 1_000_000,
    }),
    error_message: status === "success" ? "" : longError(i),
    created_at: at,
    started_at: at + 100,
    finished_at: at + 60_000,
  };
}

function people(now: number): Row[] {
  return range(60).map((i) => ({
    username:
      i % 12 === 0
        ? `a.very.long.name.of.somebody.in.the.operations.team.${i}@example.com`.slice(0, 64)
        : `person-${i}`,
    password_hash: "none",
    role: of(["viewer", "operator", "operator", "admin"], i),
    disabled: i % 9 === 0 ? 1 : 0,
    created_at: now - i * DAY_MS,
    last_login_at: i % 5 === 0 ? null : now - i * 3_600_000,
  }));
}

const keys = (now: number): Row[] =>
  range(30).map((i) => ({
    name:
      i % 6 === 0
        ? `monitoring of the customers in the region eu-central-1, second instance, key number ${i}`
        : `key-${i}`,
    key_sha256: `key-${i}`,
    role: of(["viewer", "operator"], i),
    created_at: now - i * DAY_MS,
    expires_at: i % 4 === 0 ? now - DAY_MS : i % 4 === 1 ? now + DAY_MS * i : null,
    last_used_at: i % 3 === 0 ? null : now - i * 1_000_000,
  }));

function auditEntry(i: number, now: number): Row {
  const [action, entity] = of(
    [
      ["task.update", "backup_task"],
      ["task.run", "backup_task"],
      ["record.delete", "backup_record"],
      ["node.update", "node"],
      ["user.login", "user"],
      ["record.expire", "backup_record"],
    ],
    i,
  ) as [string, string];
  const named =
    entity === "backup_task" ? taskName(i % TASKS || 1) : entity === "node" ? nodeName(i % NODES || 1) : null;
  const state =
    named === null ? null : { name: named, nodeId: i % NODES || 1, tags: tagsOf(i), source: sourceOf(i) };
  return {
    at: now - (2000 - i) * 600_000,
    actor:
      i % 6 === 5
        ? "system"
        : i % 4 === 0
          ? "a.very.long.name.of.somebody.in.the.operations.team.12@example.com".slice(0, 64)
          : `person-${i % 60}`,
    action,
    entity,
    entity_id: i % NODES || 1,
    before: action.endsWith("update") ? JSON.stringify({ ...state, tags: [] }) : null,
    after: state === null ? null : JSON.stringify(state),
    ip_address: i % 3 === 0 ? "2001:db8:85a3:8d3:1319:8a2e:370:7348" : "10.20.30.40",
  };
}

function notification(i: number, now: number): Row {
  const kind = of(["node_offline", "node_online", "run_missed", "copy_damaged", "verification_missed"], i);
  const name = kind.startsWith("node") ? nodeName(i) : taskName(i);
  return {
    at: now - (200 - i) * 1_800_000,
    kind,
    node_id: kind.startsWith("node") ? i : null,
    record_id: kind.startsWith("node") ? null : i,
    message: name,
    details: JSON.stringify({ name, since: now - DAY_MS, target: target(2).name, reason: longError(i) }),
  };
}

const logLine = (seq: number, now: number): Row => ({
  kind: "backup",
  record_id: SHOWN,
  seq,
  at: now - DAY_MS + seq * 40,
  text:
    seq % 50 === 0
      ? `warning: ${longError(seq)}`
      : `read /srv/customers/department-of-long-names/volume-${seq % 30}/file-${seq}.dat`,
});

const dayCount = (day: number, now: number): Row => ({
  day: Math.floor(now / DAY_MS) - 30 + day,
  succeeded: 900 + ((day * 37) % 200),
  failed: (day * 13) % 40,
  missed: day % 7 === 0 ? 12 : 0,
  stored_bytes: ((day * 7919) % 100) * 12_345_678_901,
});
