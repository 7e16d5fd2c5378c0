import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

/** Leads to a new task of this node. */
export function CreateTask({ nodeId }: { nodeId: number }) {
  const { t } = useTranslation();
  return (
    <Button
      component={Link}
      to={`/tasks/new?node=${nodeId}`}
      leftSection={<IconPlus size={16} aria-hidden />}
    >
      {t("nodes.createTask")}
    </Button>
  );
}
