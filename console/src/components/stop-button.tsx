import { Button } from "@mantine/core";
import { IconPlayerStop } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { confirm } from "./confirm.tsx";

type Props = {
  title: string;
  /** What becomes of what was done so far. */
  text: string;
  stop(): Promise<unknown>;
};

/** Stops a run once that is confirmed; its agent hears of it a moment later. */
export function StopButton({ title, text, stop }: Props) {
  const { t } = useTranslation();
  const [isStopping, setStopping] = useState(false);
  const ask = () =>
    confirm({
      title,
      text,
      confirm: t("record.stopIt"),
      danger: true,
      act: async () => {
        await stop();
        setStopping(true);
      },
    });
  return (
    <Button
      variant="default"
      leftSection={<IconPlayerStop size={16} aria-hidden />}
      disabled={isStopping}
      onClick={ask}
    >
      {isStopping ? t("record.stopping") : t("record.cancel")}
    </Button>
  );
}
