import { ActionIcon, Breadcrumbs, Group, Text, TextInput, Tooltip, UnstyledButton } from "@mantine/core";
import { IconArrowUp, IconRefresh } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { crumbsOf, isAbsolute, parentOf } from "./paths.ts";

type Props = {
  path: string;
  onGo(path: string): void;
  filter: string;
  onFilter(filter: string): void;
  refreshing: boolean;
  onRefresh(): void;
  /** What the field does, where it is not only to narrow what is listed. */
  hint?: string;
};

/** Where one is, the way up, and a field that narrows the list or goes to the path that is typed. */
export function Toolbar({ path, onGo, filter, onFilter, refreshing, onRefresh, hint }: Props) {
  const { t } = useTranslation();
  const parent = parentOf(path);
  return (
    <>
      <Group gap="xs" wrap="nowrap">
        <Tooltip label={t("directories.up")}>
          <ActionIcon
            variant="default"
            aria-label={t("directories.up")}
            disabled={parent === null}
            onClick={() => parent !== null && onGo(parent)}
          >
            <IconArrowUp size={16} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <Crumbs path={path} onGo={onGo} />
        <Tooltip label={t("directories.refresh")}>
          <ActionIcon
            variant="default"
            aria-label={t("directories.refresh")}
            loading={refreshing}
            onClick={onRefresh}
          >
            <IconRefresh size={16} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
      <TextInput
        size="xs"
        aria-label={hint ?? t("directories.filter")}
        placeholder={hint ?? t("directories.filter")}
        value={filter}
        onChange={(event) => onFilter(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          // Within a form, Enter would send it.
          event.preventDefault();
          if (isAbsolute(filter)) onGo(filter.trim());
        }}
        rightSectionWidth={70}
        rightSection={
          isAbsolute(filter) ? (
            <UnstyledButton onClick={() => onGo(filter.trim())}>
              <Text size="xs" c="blue" fw={500}>
                {t("directories.go")}
              </Text>
            </UnstyledButton>
          ) : null
        }
      />
    </>
  );
}

function Crumbs({ path, onGo }: Pick<Props, "path" | "onGo">) {
  const { t } = useTranslation();
  const crumbs = crumbsOf(path);
  return (
    <nav aria-label={t("directories.where")} className="directory-crumbs">
      <Breadcrumbs separatorMargin={4} separator="›">
        {crumbs.map((crumb, i) => (
          <UnstyledButton
            key={crumb.path}
            onClick={() => onGo(crumb.path)}
            {...(i === crumbs.length - 1 ? { "aria-current": "location" as const } : {})}
          >
            <Text size="sm" fw={i === crumbs.length - 1 ? 600 : 400} ff="monospace">
              {crumb.name}
            </Text>
          </UnstyledButton>
        ))}
      </Breadcrumbs>
    </nav>
  );
}
