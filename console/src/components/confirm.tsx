import { Button, Group, Stack, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { ApiError } from "../api/call.ts";
import { ErrorNotice } from "./error-notice.tsx";

type Question = {
  title: string;
  /** What will happen, and whether it can be undone. */
  text: ReactNode;
  /** What the button says: the deed, not "OK". */
  confirm: string;
  danger?: boolean;
  /** What is done then. The dialog stays, with the master's reason, when it is refused. */
  act(): Promise<unknown>;
};

/** Asks before something is done that people may not want, and does it. */
export function confirm(question: Question): void {
  const id = modals.open({
    title: question.title,
    children: <Asked {...question} close={() => modals.close(id)} />,
  });
}

function Asked({ text, confirm, danger = false, act, close }: Question & { close(): void }) {
  const { t } = useTranslation();
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await act();
      close();
    } catch (refused) {
      setError(refused as ApiError);
      setBusy(false);
    }
  };
  return (
    <Stack>
      <Text size="sm" component="div">
        {text}
      </Text>
      <ErrorNotice error={error} />
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={close} data-autofocus>
          {t("common.cancel")}
        </Button>
        <Button color={danger ? "red" : "brand"} loading={isBusy} onClick={run}>
          {confirm}
        </Button>
      </Group>
    </Stack>
  );
}
