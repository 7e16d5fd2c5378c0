import { Anchor, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../../api/admin-api.ts";
import { usePages } from "../../../api/queries.ts";
import { Facts } from "../../../components/facts.tsx";
import { ScheduleWords } from "../../../components/schedule-words.tsx";
import { When } from "../../../components/when.tsx";
import { useRetentionWords } from "../retention-words.ts";
import type { TaskDetail } from "../task.ts";

const moments = ["before", "afterSuccess", "afterFailure", "afterAlways"] as const;

/** What a task is set to do, and what is known of how well it does it. */
export function Summary({ task }: { task: TaskDetail }) {
  const { t, i18n } = useTranslation();
  const retentionWords = useRetentionWords();
  const { recent, hooks, retention } = task;
  const percent = new Intl.NumberFormat(i18n.language, { style: "percent" });
  const chosenHooks = moments.filter((moment) => hooks?.[moment]);
  return (
    <Facts
      items={[
        { label: t("tasks.node"), value: <Place task={task} /> },
        { label: t("taskEditor.source"), value: <Source source={task.source} /> },
        { label: t("taskEditor.targets"), value: <Targets ids={task.targetIds} /> },
        { label: t("taskEditor.packing"), value: <Packing pipeline={task.pipeline} /> },
        {
          label: t("taskEditor.retention"),
          value: retention === null ? t("taskEditor.keepsAll") : retentionWords(retention),
        },
        { label: t("taskEditor.verification"), value: <Verification task={task} /> },
        {
          label: t("taskEditor.hooks"),
          value:
            chosenHooks.length === 0
              ? null
              : chosenHooks
                  .map((moment) => `${t(`taskEditor.hook_${moment}`)}: ${hooks?.[moment]}`)
                  .join(" · "),
        },
        {
          label: t("taskPage.recent"),
          value:
            recent.successRate === null
              ? t("tasks.neverRan")
              : t("taskPage.successRate", {
                  rate: percent.format(recent.successRate),
                  count: recent.runs,
                  verified: recent.verified,
                }),
        },
        { label: t("taskPage.changed"), value: <When at={task.updatedAt} /> },
      ]}
    />
  );
}

function Place({ task: { nodeId, nodeName, poolLabel } }: { task: TaskDetail }) {
  const { t } = useTranslation();
  if (poolLabel !== null) return t("tasks.pool", { label: poolLabel });
  return (
    <Anchor component={Link} to={`/nodes/${nodeId}`} size="sm">
      {nodeName ?? nodeId}
    </Anchor>
  );
}

function Source({ source }: { source: TaskDetail["source"] }) {
  const { t } = useTranslation();
  if (source.type === "command") return `${t("sources.command")}: ${source.name}`;
  if ("paths" in source) {
    return (
      <>
        <Lines of={source.paths} />
        {"excludes" in source && source.excludes.length > 0 ? (
          <Lines label={t("taskEditor.excludes")} of={source.excludes} />
        ) : null}
      </>
    );
  }
  const address = source.port === null ? source.host : `${source.host}:${source.port}`;
  return (
    <>
      {t(`sources.${source.type}`)}{" "}
      <Text span size="sm" ff="monospace">
        {source.user ? `${source.user}@${address}` : address}
      </Text>
      {source.databases.length > 0 ? (
        <Lines of={source.databases} />
      ) : (
        <Text size="sm">{t("taskEditor.allDatabases")}</Text>
      )}
      {source.excludeDatabases.length > 0 ? (
        <Lines label={t("taskEditor.excludes")} of={source.excludeDatabases} />
      ) : null}
    </>
  );
}

const SHOWN = 12;

function Lines({ label, of }: { label?: string; of: readonly string[] }) {
  return (
    <>
      {label ? (
        <Text size="xs" c="dimmed" mt={4}>
          {label}
        </Text>
      ) : null}
      {of.slice(0, SHOWN).map((line) => (
        <Text key={line} size="sm" ff="monospace" className="long-name">
          {line}
        </Text>
      ))}
      {of.length > SHOWN ? <Text size="sm">+{of.length - SHOWN}</Text> : null}
    </>
  );
}

function Targets({ ids }: { ids: number[] }) {
  const targets = usePages(adminApi.listTargets, { limit: 200 }).data?.pages.flatMap((page) => page.items);
  return ids.map((id, i) => (
    <span key={id}>
      {i > 0 ? ", " : null}
      <Anchor component={Link} to={`/targets/${id}`} size="sm">
        {targets?.find((target) => target.id === id)?.name ?? id}
      </Anchor>
    </span>
  ));
}

function Packing({ pipeline }: { pipeline: TaskDetail["pipeline"] }) {
  const { t } = useTranslation();
  const { engine, compression, level, encryption, differential } = pipeline;
  if (engine === "restic") return t("taskEditor.engineRestic");
  const parts: ReactNode[] = [
    t(`taskEditor.compression_${compression}`) + (level === null ? "" : ` ${level}`),
    encryption === null
      ? t("taskEditor.notEncrypted")
      : t("taskPage.encryptedFor", { count: encryption.recipients.length }),
    differential === null
      ? t("taskEditor.alwaysFull")
      : t("taskPage.fullEvery", { count: differential.fullEveryDays }),
  ];
  return parts.join(" · ");
}

function Verification({ task: { verification, verifiedAt, verifiedGrade, timeZone } }: { task: TaskDetail }) {
  const { t } = useTranslation();
  return (
    <>
      {verification === null ? (
        t("taskEditor.verifiedByHand")
      ) : (
        <ScheduleWords schedule={verification.schedule} timeZone={timeZone} />
      )}
      <Text size="xs" c="dimmed">
        {verifiedAt === null || verifiedGrade === null ? (
          t("taskPage.neverVerified")
        ) : (
          <>
            {t("taskPage.verified")} <When at={verifiedAt} />: {t(`taskEditor.grade${verifiedGrade}`)}
          </>
        )}
      </Text>
    </>
  );
}
