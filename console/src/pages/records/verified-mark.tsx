import { Group, Text, Tooltip } from "@mantine/core";
import { IconShieldCheck, IconShieldOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Grade } from "../../../../protocol/verification.ts";

/** How far a backup was verified, in short; what the grade means for who points at it. */
export function VerifiedMark({ grade }: { grade: Grade | null }) {
  const { t } = useTranslation();
  if (grade === null)
    return (
      <Group gap={4} wrap="nowrap" c="dimmed">
        <IconShieldOff size={16} aria-hidden />
        <Text size="sm">{t("verifications.never")}</Text>
      </Group>
    );
  return (
    <Tooltip label={t(`verifications.grade${grade}`)}>
      <Group gap={4} wrap="nowrap" w="fit-content">
        <IconShieldCheck size={16} aria-hidden color="var(--mantine-color-green-7)" />
        <Text size="sm" className="one-line">
          {t("verifications.gradeShort", { grade })}
        </Text>
      </Group>
    </Tooltip>
  );
}
