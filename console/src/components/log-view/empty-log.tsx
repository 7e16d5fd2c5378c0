import { Center, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

export function EmptyLog({ isLive }: { isLive: boolean }) {
  const { t } = useTranslation();
  return (
    <Center mih={96} p="md">
      <Text size="sm" c="dimmed" ta="center">
        {isLive ? t("log.waiting") : t("log.empty")}
      </Text>
    </Center>
  );
}
