import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Role } from "../../../protocol/states.ts";

const colors: Record<Role, string> = { viewer: "gray", operator: "brand", admin: "violet" };

/** What somebody or a key may do. */
export function RoleBadge({ role }: { role: Role }) {
  const { t } = useTranslation();
  return (
    <Badge variant="light" color={colors[role]} miw="max-content">
      {t(`roles.${role}`)}
    </Badge>
  );
}
