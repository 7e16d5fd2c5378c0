import { Badge, Tooltip } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

export function LockedMark() {
  const { t } = useTranslation();
  return (
    <Tooltip label={t("record.lockedHint")}>
      <Badge variant="default" leftSection={<IconLock size={12} aria-hidden />}>
        {t("record.locked")}
      </Badge>
    </Tooltip>
  );
}
