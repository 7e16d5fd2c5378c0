import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Page } from "../components/page.tsx";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Page title={t("notFound.title")}>
      <Button component={Link} to="/" variant="default" w="fit-content">
        {t("notFound.back")}
      </Button>
    </Page>
  );
}
