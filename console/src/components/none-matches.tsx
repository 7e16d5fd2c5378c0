import { Button } from "@mantine/core";
import { IconFilterOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { EmptyState } from "./empty-state.tsx";

type Props = { title: string; text: string; clear(): void };

/** There is something, but nothing that fits the filters. */
export function NoneMatches({ title, text, clear }: Props) {
  const { t } = useTranslation();
  return (
    <EmptyState
      icon={IconFilterOff}
      title={title}
      text={text}
      action={
        <Button variant="default" onClick={clear}>
          {t("common.clearFilters")}
        </Button>
      }
    />
  );
}
