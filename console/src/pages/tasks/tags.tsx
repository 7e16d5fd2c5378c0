import { Badge, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

/** A task's tags; each leads to all tasks that have it. */
export function Tags({ tags }: { tags: string[] }) {
  const { t } = useTranslation();
  if (tags.length === 0) return null;
  return (
    <Group gap={6} role="group" aria-label={t("tasks.tags")}>
      {tags.map((tag) => (
        <Badge
          key={tag}
          component={Link}
          to={`/tasks?tag=${encodeURIComponent(tag)}`}
          title={tag}
          variant="default"
          tt="none"
          fw={400}
          style={{ cursor: "pointer" }}
        >
          {tag}
        </Badge>
      ))}
    </Group>
  );
}
