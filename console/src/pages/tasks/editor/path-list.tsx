import { ActionIcon, Button, Collapse, Group, Input, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFolderOpen, IconPlus, IconX } from "@tabler/icons-react";
import { type ReactNode, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { DirectoryBrowser } from "../../../components/directory-browser.tsx";
import { useTaskForm } from "./form.ts";

type Props = {
  label: string;
  value?: string[];
  onChange?(paths: string[]): void;
  error?: ReactNode;
  only?: "directories" | "files";
};

/** Paths of a node: typed, or chosen from its directories. */
export function PathList({ label, value = [], onChange = () => {}, error, only }: Props) {
  const { t } = useTranslation();
  const { place, nodeId } = useTaskForm().values;
  const [isBrowsing, { toggle }] = useDisclosure();
  const id = useId();
  const canBrowse = place === "node" && nodeId !== null;
  return (
    <Stack gap="xs" role="group" aria-labelledby={id}>
      <Group justify="space-between">
        <Input.Label id={id} labelElement="div" required>
          {label}
        </Input.Label>
        <Button
          size="compact-sm"
          variant="light"
          leftSection={<IconFolderOpen size={16} aria-hidden />}
          disabled={!canBrowse}
          aria-expanded={isBrowsing && canBrowse}
          onClick={toggle}
        >
          {isBrowsing && canBrowse ? t("taskEditor.closeBrowser") : t("taskEditor.browse")}
        </Button>
      </Group>
      {value.length === 0 ? (
        <Text size="sm" c="dimmed">
          {canBrowse ? t("taskEditor.noPaths") : t("taskEditor.noPathsNorNode")}
        </Text>
      ) : null}
      {value.map((path) => (
        <Group key={path} gap="xs" wrap="nowrap" className="chosen-path">
          <Text size="sm" ff="monospace" flex={1} className="long-name">
            {path}
          </Text>
          <ActionIcon
            size="sm"
            variant="subtle"
            color="gray"
            aria-label={t("taskEditor.removeNamed", { name: path })}
            onClick={() => onChange(value.filter((one) => one !== path))}
          >
            <IconX size={14} aria-hidden />
          </ActionIcon>
        </Group>
      ))}
      {error ? <Input.Error role="alert">{error}</Input.Error> : null}
      <TypedPath onAdd={(path) => value.includes(path) || onChange([...value, path])} />
      <Collapse expanded={isBrowsing && canBrowse}>
        {isBrowsing && nodeId !== null ? (
          <DirectoryBrowser
            key={nodeId}
            nodeId={nodeId}
            selection={{ paths: value, onChange, ...(only ? { only } : {}) }}
          />
        ) : null}
      </Collapse>
    </Stack>
  );
}

function TypedPath({ onAdd }: { onAdd(path: string): void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const add = () => {
    if (typed.trim() !== "") onAdd(typed.trim());
    setTyped("");
  };
  return (
    <TextInput
      aria-label={t("taskEditor.typePath")}
      placeholder={t("taskEditor.typePath")}
      spellCheck={false}
      autoComplete="off"
      value={typed}
      onChange={(event) => setTyped(event.currentTarget.value)}
      // What was typed and not yet added is meant all the same.
      onBlur={add}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        add();
      }}
      rightSection={
        <ActionIcon variant="subtle" aria-label={t("taskEditor.addPath")} onClick={add}>
          <IconPlus size={16} aria-hidden />
        </ActionIcon>
      }
    />
  );
}
