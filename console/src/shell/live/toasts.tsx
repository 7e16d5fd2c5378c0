import { Anchor, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCheck, IconX } from "@tabler/icons-react";
import type { EndedRun } from "../../../../protocol/live.ts";
import type { T } from "../../i18n/i18n.ts";

type Go = (path: string) => void;

const pathOf = ({ kind, id }: EndedRun) =>
  ({ backup: `/records/${id}`, restore: `/restores/${id}`, verification: `/verifications/${id}` })[kind];

const GATHER_MS = 800;
/** More than these at once are told as one sum. */
const MAX_SINGLE = 3;
const QUIET_MS = 4000;

/** Tells of runs that end while one looks at something else: successes briefly, failures until they are closed. */
export function makeToasts(t: T, go: Go): (ended: EndedRun[]) => void {
  let gathered: EndedRun[] = [];
  let timer: number | undefined;

  function tell(): void {
    timer = undefined;
    // Who looks at a run sees it end.
    const elsewhere = gathered.filter(
      (run) => pathOf(run) !== location.pathname && run.status !== "cancelled",
    );
    gathered = [];
    const good = elsewhere.filter(({ status }) => status === "success");
    const bad = elsewhere.filter(({ status }) => status !== "success");
    if (good.length > MAX_SINGLE) showSum(t, go, good.length, true);
    else for (const run of good) showRun(t, go, run);
    if (bad.length > MAX_SINGLE) showSum(t, go, bad.length, false);
    else for (const run of bad) showRun(t, go, run);
  }

  return (ended) => {
    gathered.push(...ended);
    if (ended.length > 0 && timer === undefined) timer = window.setTimeout(tell, GATHER_MS);
  };
}

const looks = {
  success: { color: "green", icon: <IconCheck size={18} aria-hidden /> },
  incomplete: { color: "orange", icon: <IconAlertTriangle size={18} aria-hidden /> },
  failed: { color: "red", icon: <IconX size={18} aria-hidden /> },
};

function showRun(t: T, go: Go, run: EndedRun): void {
  const outcome = run.status === "success" || run.status === "incomplete" ? run.status : "failed";
  const id = `${run.kind}-${run.id}`;
  const name = run.name || `#${run.id}`;
  show(go, {
    id,
    outcome,
    path: pathOf(run),
    title: titleOf(t, run.kind, outcome, name),
    text: run.error,
    link: t("live.look"),
    close: t("common.close"),
  });
}

function titleOf(t: T, kind: EndedRun["kind"], outcome: keyof typeof looks, name: string): string {
  const good = outcome === "success";
  switch (kind) {
    case "backup":
      return good ? t("live.backupDone", { name }) : t("live.backupFailed", { name });
    case "restore":
      return good ? t("live.restoreDone", { name }) : t("live.restoreFailed", { name });
    case "verification":
      if (outcome === "incomplete") return t("live.verificationIncomplete", { name });
      return good ? t("live.verificationDone", { name }) : t("live.verificationFailed", { name });
  }
}

function showSum(t: T, go: Go, count: number, good: boolean): void {
  show(go, {
    id: good ? "many-good" : "many-bad",
    outcome: good ? "success" : "failed",
    path: good ? "/records" : "/records?status=failed",
    title: good ? t("live.manyDone", { count }) : t("live.manyFailed", { count }),
    text: "",
    link: t("live.look"),
    close: t("common.close"),
  });
}

type Toast = {
  id: string;
  outcome: keyof typeof looks;
  path: string;
  title: string;
  text: string;
  link: string;
  close: string;
};

function show(go: Go, { id, outcome, path, title, text, link, close }: Toast): void {
  notifications.hide(id);
  notifications.show({
    id,
    ...looks[outcome],
    title,
    role: outcome === "success" ? "status" : "alert",
    autoClose: outcome === "success" ? QUIET_MS : false,
    closeButtonProps: { "aria-label": close },
    message: (
      <>
        {text ? (
          <Text size="sm" c="dimmed" lineClamp={3} className="long-name">
            {text}
          </Text>
        ) : null}
        <Anchor
          size="sm"
          href={path}
          onClick={(event) => {
            event.preventDefault();
            notifications.hide(id);
            go(path);
          }}
        >
          {link}
        </Anchor>
      </>
    ),
  });
}
