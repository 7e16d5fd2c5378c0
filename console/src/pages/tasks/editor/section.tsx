import { Button, Collapse, Grid, Paper, Stack, Text, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type ReactNode, useEffect, useId } from "react";
import { useTranslation } from "react-i18next";
import { useTaskForm } from "./form.ts";

type Props = { title: string; text: string; children: ReactNode };

/** A part of the editor: what it is about beside its fields. */
export function Section({ title, text, children }: Props) {
  const id = useId();
  return (
    <Paper withBorder p="lg" component="section" aria-labelledby={id}>
      <Grid gap="lg">
        <Grid.Col span={{ base: 12, md: 4 }}>
          <Title order={2} size="h5" id={id}>
            {title}
          </Title>
          <Text size="sm" c="dimmed" mt={4}>
            {text}
          </Text>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 8 }}>
          <Stack gap="md">{children}</Stack>
        </Grid.Col>
      </Grid>
    </Paper>
  );
}

type FoldedProps = Props & {
  /** What is chosen now, in a line. */
  summary: string;
  /** The beginnings of its fields' names: with an error at one of them it opens. */
  fields: readonly string[];
};

/** A part that most people leave as it is: closed, it says what is chosen. */
export function FoldedSection({ summary, fields, children, ...section }: FoldedProps) {
  const { t } = useTranslation();
  const id = useId();
  const [isOpen, { toggle, open }] = useDisclosure();
  const { errors } = useTaskForm();
  const hasError = Object.keys(errors).some((name) => fields.some((field) => name.startsWith(field)));
  useEffect(() => {
    if (hasError) open();
  }, [hasError, open]);
  return (
    <Section {...section}>
      <Stack gap="md">
        <div>
          {isOpen ? null : (
            <Text size="sm" mb={4}>
              {summary}
            </Text>
          )}
          <Button
            variant="subtle"
            size="compact-sm"
            ml={-8}
            onClick={toggle}
            aria-expanded={isOpen}
            aria-controls={id}
            aria-label={`${isOpen ? t("taskEditor.fold") : t("taskEditor.unfold")}: ${section.title}`}
          >
            {isOpen ? t("taskEditor.fold") : t("taskEditor.unfold")}
          </Button>
        </div>
        <Collapse expanded={isOpen} id={id}>
          <Stack gap="md">{children}</Stack>
        </Collapse>
      </Stack>
    </Section>
  );
}
