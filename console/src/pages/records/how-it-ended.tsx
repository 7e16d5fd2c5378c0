import { Alert } from "@mantine/core";
import { IconAlertTriangle, IconBan, IconClockCheck } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { RecordDetail } from "./record-detail.ts";

/** Why there is no backup, or what is special about this one; nothing where all went well. */
export function HowItEnded({ record: { status, errorMessage, late } }: { record: RecordDetail }) {
  const { t } = useTranslation();
  if (status === "success")
    return late ? (
      <Alert color="orange" icon={<IconClockCheck aria-hidden />} title={t("record.lateTitle")}>
        {t("record.lateText")}
      </Alert>
    ) : null;
  const title = {
    failed: t("record.failedTitle"),
    missed: t("record.missedTitle"),
    cancelled: t("record.cancelledTitle"),
    queued: "",
    running: "",
  }[status];
  const isCancelled = status === "cancelled";
  return (
    <Alert
      {...(isCancelled ? { variant: "default" } : { color: status === "missed" ? "orange" : "red" })}
      icon={isCancelled ? <IconBan aria-hidden /> : <IconAlertTriangle aria-hidden />}
      title={title}
    >
      <span className="long-name">{errorMessage}</span>
    </Alert>
  );
}
