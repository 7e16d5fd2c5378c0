import { Progress, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { formatBytes } from "../../components/bytes.tsx";
import type { Target } from "./target.ts";

const WARN_FROM = 0.8;
const FULL_FROM = 0.95;

/** How much lies in a target, and of how much where it has a quota. */
export function Usage({ target: { usedBytes, quotaBytes } }: { target: Target }) {
  const { t, i18n } = useTranslation();
  const used = formatBytes(usedBytes, i18n.language);
  if (quotaBytes === null)
    return (
      <Text size="sm" className="figures">
        {used}
      </Text>
    );
  const share = usedBytes / quotaBytes;
  const percent = Math.round(share * 100);
  return (
    <Stack gap={4} miw={140}>
      <Text size="sm" className="figures">
        {t("targets.usedOf", { used, quota: formatBytes(quotaBytes, i18n.language) })}
      </Text>
      <Progress
        value={Math.min(100, share * 100)}
        color={share >= FULL_FROM ? "red" : share >= WARN_FROM ? "orange" : "brand"}
        size="sm"
        w="100%"
        aria-label={t("targets.quotaFull", { percent })}
      />
    </Stack>
  );
}
