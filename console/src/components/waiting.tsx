import { Center, Loader } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** Something is on its way. */
export function Waiting() {
  const { t } = useTranslation();
  return (
    <Center mih={160} role="status" aria-label={t("common.loading")}>
      <Loader />
    </Center>
  );
}
