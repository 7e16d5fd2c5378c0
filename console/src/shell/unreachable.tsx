import { Alert, Button, Group } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { adminApi } from "../api/admin-api.ts";
import { liveState } from "../api/news.ts";
import { useAnswer } from "../api/queries.ts";

const ASK_EVERY_MS = 5000;
/** Without news, what is shown is asked for again this often. */
const RENEW_EVERY_MS = 30_000;

/**
 * While news arrive, nothing is asked. Without them the master is asked whether it is there: this says so while it is
 * not, and while only the news are missing, what is shown is asked for now and then. When it is back, everything is asked for.
 */
export function Unreachable() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const live = useSyncExternalStore(liveState.subscribe, liveState.isLive);
  const health = useAnswer(adminApi.health, {}, { enabled: !live, everyMs: ASK_EVERY_MS });
  const isAway = !live && (health.error ?? health.failureReason)?.code === "UNREACHABLE";
  useEffect(() => {
    if (live || isAway) return;
    const renewal = window.setInterval(() => {
      if (document.visibilityState === "visible") void client.invalidateQueries();
    }, RENEW_EVERY_MS);
    return () => window.clearInterval(renewal);
  }, [client, live, isAway]);
  useEffect(() => {
    if (!isAway) return;
    return () => void client.invalidateQueries();
  }, [client, isAway]);
  if (!isAway) return null;
  return (
    <Alert mb="md" color="orange" icon={<IconPlugConnectedX aria-hidden />} role="alert">
      <Group justify="space-between">
        {t("common.offline")}
        <Button size="xs" variant="default" loading={health.isFetching} onClick={() => health.refetch()}>
          {t("common.retry")}
        </Button>
      </Group>
    </Alert>
  );
}
