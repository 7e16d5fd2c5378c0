import { ActionIcon, Button, Group, Radio, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconFolderOpen, IconPlus, IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { DirectoryBrowser } from "../../components/directory-browser.tsx";
import { NodeSelect } from "../../components/node-select.tsx";
import { isDatabaseServer, type StepProps } from "./plan.ts";

/** On which node, and in which place there. */
export function Where({ record, plan, change, missing }: StepProps) {
  const { t } = useTranslation();
  const isServer = isDatabaseServer(record);
  const canGoBack = record.sourceType !== "command";
  return (
    <Stack>
      <NodeSelect
        label={t("wizard.node")}
        description={t("wizard.nodeHint")}
        required
        maw={420}
        value={plan.nodeId}
        onChange={(nodeId) => change({ nodeId })}
        error={plan.nodeId === null ? missing.where : null}
      />
      <Radio.Group
        label={t("wizard.place")}
        value={plan.place}
        onChange={(place) => change({ place: place as typeof plan.place })}
      >
        <Stack gap="xs" mt="xs">
          {canGoBack ? (
            <Radio
              value="original"
              label={t("wizard.original")}
              description={isServer ? t("wizard.originalServer") : t("wizard.originalFiles")}
            />
          ) : null}
          <Radio
            value="folder"
            label={isServer ? t("wizard.dump") : t("wizard.folder")}
            description={isServer ? t("wizard.dumpHint") : t("wizard.folderHint")}
          />
        </Stack>
      </Radio.Group>
      {plan.place === "folder" ? (
        <Folder
          nodeId={plan.nodeId}
          value={plan.folder}
          onChange={(folder) => change({ folder })}
          error={plan.nodeId === null ? undefined : missing.where}
        />
      ) : null}
      {plan.place === "original" && isServer ? (
        <Renames
          names={namesIn(record, plan)}
          renames={plan.renames}
          onChange={(renames) => change({ renames })}
          error={plan.nodeId === null ? undefined : missing.where}
        />
      ) : null}
      <Select
        label={t("wizard.copyFrom")}
        placeholder={t("wizard.automatic")}
        clearable
        maw={420}
        data={record.copies
          .filter(({ status }) => status === "success")
          .map(({ targetId, targetName }) => ({ value: String(targetId), label: targetName }))}
        value={plan.targetId === null ? null : String(plan.targetId)}
        onChange={(id) => change({ targetId: id === null ? null : Number(id) })}
      />
    </Stack>
  );
}

type FolderProps = {
  nodeId: number | null;
  value: string;
  onChange(folder: string): void;
  error: string | undefined;
};

function Folder({ nodeId, value, onChange, error }: FolderProps) {
  const { t } = useTranslation();
  const [isBrowsing, browsing] = useDisclosure();
  return (
    <Stack gap="xs">
      <Group align="flex-start" gap="xs">
        <TextInput
          label={t("wizard.folderPath")}
          required
          flex={1}
          miw={220}
          placeholder="/srv/restored"
          value={value}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
          error={error}
        />
        <Button
          variant="default"
          // Beside the field, not beside its label.
          mt={24}
          leftSection={<IconFolderOpen size={16} aria-hidden />}
          disabled={nodeId === null}
          aria-expanded={isBrowsing}
          onClick={browsing.toggle}
        >
          {t("wizard.browse")}
        </Button>
      </Group>
      {isBrowsing && nodeId !== null ? (
        <DirectoryBrowser
          nodeId={nodeId}
          selection={{
            paths: value === "" ? [] : [value],
            onChange: ([path]) => onChange(path ?? ""),
            only: "directories",
            single: true,
          }}
        />
      ) : null}
    </Stack>
  );
}

type Rename = { from: string; to: string };

/** Databases that are to be restored, as far as that is known without opening the backup. */
function namesIn({ source }: StepProps["record"], { scope, databases }: StepProps["plan"]): string[] {
  if (scope === "chosen") return databases;
  return source && "databases" in source ? source.databases : [];
}

type RenamesProps = {
  names: string[];
  renames: Rename[];
  onChange(renames: Rename[]): void;
  error: string | undefined;
};

function Renames({ names, renames, onChange, error }: RenamesProps) {
  const { t } = useTranslation();
  const next = names.find((name) => !renames.some(({ from }) => from === name)) ?? "";
  const set = (at: number, changes: Partial<Rename>) =>
    onChange(renames.map((one, index) => (index === at ? { ...one, ...changes } : one)));
  return (
    <Stack gap="xs">
      <Text size="sm" fw={500}>
        {t("wizard.rename")}
      </Text>
      <Text size="xs" c="dimmed">
        {t("wizard.renameHint")}
      </Text>
      {renames.map(({ from, to }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows are told apart by their place while their names are typed
        <Group key={index} gap="xs" align="flex-end" wrap="nowrap">
          <TextInput
            label={t("wizard.oldName")}
            value={from}
            onChange={({ currentTarget }) => set(index, { from: currentTarget.value })}
          />
          <TextInput
            label={t("wizard.newName")}
            value={to}
            onChange={({ currentTarget }) => set(index, { to: currentTarget.value })}
          />
          <ActionIcon
            size={36}
            variant="default"
            aria-label={t("wizard.remove", { path: from })}
            onClick={() => onChange(renames.filter((_, at) => at !== index))}
          >
            <IconX size={16} aria-hidden />
          </ActionIcon>
        </Group>
      ))}
      {error ? (
        <Text size="sm" c="var(--mantine-color-error)" role="alert">
          {error}
        </Text>
      ) : null}
      <Button
        variant="default"
        size="xs"
        w="fit-content"
        leftSection={<IconPlus size={14} aria-hidden />}
        onClick={() => onChange([...renames, { from: next, to: "" }])}
      >
        {t("wizard.addName")}
      </Button>
    </Stack>
  );
}
