import { Box, Group, Stack, Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";

type Props = { title: string; lead?: ReactNode; actions?: ReactNode; children: ReactNode };

/** A page: its name, what it is about, what can be done, and its content. */
export function Page({ title, lead, actions, children }: Props) {
  useDocumentTitle(`${title} · BackupX Edge`);
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="flex-start">
        <Box miw={0}>
          <Title order={1} size="h2" className="long-name">
            {title}
          </Title>
          {lead ? (
            <Text c="dimmed" mt={4} component="div" className="long-name">
              {lead}
            </Text>
          ) : null}
        </Box>
        {actions ? <Group gap="sm">{actions}</Group> : null}
      </Group>
      {children}
    </Stack>
  );
}
