import { Box, Button, CopyButton, Paper } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

/** Text to be pasted elsewhere, with a button that copies it; `label` says what it is. */
export function CodeBlock({ text, label }: { text: string; label: string }) {
  const { t } = useTranslation();
  return (
    <Paper withBorder className="code-block">
      <Box component="pre" tabIndex={0} role="region" aria-label={label}>
        {text}
      </Box>
      <CopyButton value={text} timeout={2000}>
        {({ copied, copy }) => (
          <Button
            size="xs"
            variant="light"
            flex="none"
            color={copied ? "green" : "brand"}
            onClick={copy}
            aria-label={`${copied ? t("common.copied") : t("common.copy")}: ${label}`}
            leftSection={copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />}
          >
            {copied ? t("common.copied") : t("common.copy")}
          </Button>
        )}
      </CopyButton>
    </Paper>
  );
}
