import { Anchor, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { AuditEntry } from "./entry.ts";

/** Where each kind of thing has its page. */
const pages: Record<string, string> = {
  backup_task: "/tasks",
  backup_record: "/records",
  restore_record: "/restores",
  verification: "/verifications",
  node: "/nodes",
  storage_target: "/targets",
};

/** What people do to themselves. */
const ownDeeds = ["user.login", "user.logout", "user.change_password", "user.end_sessions"];

/** What something was done to: its name where the entry has it, and the way to its page. */
export function Subject({
  entry: { action, actor, entity, entityId, before, after },
}: {
  entry: AuditEntry;
}) {
  const { t } = useTranslation();
  const kinds: Record<string, string> = {
    backup_task: t("audit.task"),
    backup_record: t("audit.record"),
    restore_record: t("audit.restore"),
    verification: t("audit.verification"),
    node: t("audit.node"),
    storage_target: t("audit.target"),
    user: t("audit.user"),
    api_key: t("audit.apiKey"),
    enrollment_code: t("audit.enrollmentCode"),
  };
  const self = ownDeeds.includes(action) ? actor : null;
  const name = nameIn(after) ?? nameIn(before) ?? self;
  const words = `${kinds[entity] ?? entity} ${name ?? entityId ?? ""}`;
  const page = pages[entity];
  if (!page || entityId === null)
    return (
      <Text size="sm" className="long-name">
        {words}
      </Text>
    );
  return (
    <Anchor component={Link} to={`${page}/${entityId}`} size="sm" className="long-name">
      {words}
    </Anchor>
  );
}

function nameIn(state: unknown): string | null {
  if (typeof state !== "object" || state === null) return null;
  const { name, username } = state as { name?: unknown; username?: unknown };
  if (typeof name === "string") return name;
  return typeof username === "string" ? username : null;
}
