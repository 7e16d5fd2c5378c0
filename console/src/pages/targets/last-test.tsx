import { Badge, Group, Text } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { When } from "../../components/when.tsx";
import type { Target } from "./target.ts";

/** How the last test of a target went, and when. */
export function LastTest({ test }: { test: Target["lastTest"] }) {
  const { t } = useTranslation();
  if (!test)
    return (
      <Text size="sm" c="dimmed">
        {t("targets.notTested")}
      </Text>
    );
  const Mark = test.ok ? IconCheck : IconX;
  return (
    <Group gap="xs" wrap="nowrap">
      <Badge
        variant="light"
        color={test.ok ? "green" : "red"}
        leftSection={<Mark size={12} stroke={2.5} aria-hidden />}
      >
        {test.ok ? t("targets.tested") : t("targets.testFailed")}
      </Badge>
      <Text size="sm" c="dimmed" component="span">
        <When at={test.at} />
      </Text>
    </Group>
  );
}
