import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { IconSearch } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { useMe } from "../session.tsx";
import { places } from "./places.ts";

/** Ctrl+K: goes to any page. */
export function Palette() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const me = useMe();
  const actions: SpotlightActionData[] = places
    .filter(({ role }) => me.may(role))
    .map(({ path, label, icon: Shape }) => ({
      id: path,
      label: t(label),
      onClick: () => navigate(path),
      leftSection: <Shape size={18} aria-hidden />,
    }));
  return (
    <Spotlight
      actions={actions}
      nothingFound={t("nav.nothingFound")}
      attributes={{ content: { "aria-label": t("nav.search") } }}
      searchProps={{
        leftSection: <IconSearch size={18} aria-hidden />,
        placeholder: t("nav.searchHint"),
        "aria-label": t("nav.search"),
      }}
    />
  );
}
