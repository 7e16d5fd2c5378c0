import { Checkbox, Group, Radio, Text, UnstyledButton } from "@mantine/core";
import { IconFile, IconFolderFilled } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Bytes } from "../bytes.tsx";
import { canChoose, type Selection, stateOf, toggle } from "./selection.ts";

export type Entry = { name: string; path: string; isDir: boolean; size: number };
type Props = { entry: Entry; selection: Selection | undefined; onOpen(path: string): void };

/** One file or directory; a directory's name opens it. */
export function EntryRow({ entry, selection, onOpen }: Props) {
  const { name, path, isDir, size } = entry;
  return (
    <Group component="li" gap="xs" px="sm" py={4} wrap="nowrap" className="directory-entry">
      {selection ? <Choice entry={entry} selection={selection} /> : null}
      {isDir ? (
        <UnstyledButton flex={1} miw={0} data-entry onClick={() => onOpen(path)}>
          <Group gap="xs" wrap="nowrap">
            <IconFolderFilled size={16} aria-hidden color="var(--mantine-color-blue-5)" />
            <Text size="sm" truncate title={name}>
              {name}
            </Text>
          </Group>
        </UnstyledButton>
      ) : (
        <Group gap="xs" wrap="nowrap" flex={1} miw={0}>
          <IconFile size={16} aria-hidden color="var(--mantine-color-dimmed)" />
          <Text size="sm" truncate title={name}>
            {name}
          </Text>
        </Group>
      )}
      {isDir ? null : (
        <Text size="xs" c="dimmed" flex="none">
          <Bytes of={size} />
        </Text>
      )}
    </Group>
  );
}

function Choice({ entry: { path, isDir }, selection }: { entry: Entry; selection: Selection }) {
  const { t } = useTranslation();
  const state = stateOf(selection, path);
  const may = canChoose(selection, isDir);
  const common = {
    size: "xs",
    "aria-label": t("directories.choose", { path }),
    disabled: !may || state === "included",
    onChange: () => toggle(selection, path),
  } as const;
  if (selection.single) return <Radio {...common} checked={state === "chosen"} />;
  return (
    <Checkbox
      {...common}
      data-entry={isDir ? undefined : true}
      checked={state === "chosen" || state === "included"}
      indeterminate={state === "partly"}
    />
  );
}
