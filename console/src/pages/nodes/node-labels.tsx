import { Badge, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

/** A node's labels; each leads to the nodes that have it. */
export function NodeLabels({ labels }: { labels: string[] }) {
  const { t } = useTranslation();
  if (labels.length === 0) return null;
  return (
    <Group gap={4}>
      {labels.map((label) => (
        <Badge
          key={label}
          component={Link}
          to={`/nodes?label=${encodeURIComponent(label)}`}
          aria-label={t("nodes.withLabel", { label })}
          title={label}
          variant="default"
          fw={400}
          style={{ cursor: "pointer" }}
        >
          {label}
        </Badge>
      ))}
    </Group>
  );
}
