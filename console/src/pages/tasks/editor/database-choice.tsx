import { Checkbox, Group, Paper, ScrollArea, Stack, Text } from "@mantine/core";
import { Bytes } from "../../../components/bytes.tsx";

type Props = {
  label: string;
  found: readonly { name: string; sizeBytes: number | null }[];
  chosen: string[];
  onChange(names: string[]): void;
};

/** Databases that an agent has found, to be ticked. */
export function DatabaseChoice({ label, found, chosen, onChange }: Props) {
  return (
    <Paper withBorder p="sm">
      <Checkbox.Group label={label} value={chosen} onChange={onChange}>
        <ScrollArea.Autosize mah={360} type="auto" mt="xs">
          <Stack gap={6}>
            {found.map(({ name, sizeBytes }) => (
              <Group key={name} justify="space-between" wrap="nowrap">
                <Checkbox value={name} label={name} className="long-name" />
                <Text size="xs" c="dimmed">
                  <Bytes of={sizeBytes} />
                </Text>
              </Group>
            ))}
          </Stack>
        </ScrollArea.Autosize>
      </Checkbox.Group>
    </Paper>
  );
}
