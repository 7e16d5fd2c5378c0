import { Select, type SelectProps, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Role } from "../../../protocol/states.ts";

export const allRoles = ["viewer", "operator", "admin"] as const satisfies Role[];

type Props = Omit<SelectProps, "data" | "value" | "onChange"> & { value: Role; onChange(role: Role): void };

/** Chooses a role, with what it may do in words. */
export function RoleSelect({ value, onChange, ...props }: Props) {
  const { t } = useTranslation();
  return (
    <Select
      {...props}
      label={props.label ?? t("roles.role")}
      allowDeselect={false}
      data={allRoles.map((role) => ({ value: role, label: t(`roles.${role}`) }))}
      value={value}
      onChange={(role) => onChange(role as Role)}
      description={t(`roles.${value}May`)}
      inputWrapperOrder={["label", "input", "description", "error"]}
      renderOption={({ option }) => (
        <Stack gap={0}>
          <Text size="sm">{option.label}</Text>
          <Text size="xs" c="dimmed">
            {t(`roles.${option.value as Role}May`)}
          </Text>
        </Stack>
      )}
    />
  );
}
