import { Button, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import { useMe } from "../../session.tsx";
import type { Copy, RecordDetail } from "./record-detail.ts";

type Props = { record: RecordDetail; copy: Copy };

/** What may be done with one copy in the state that it is in. */
export function CopyActions({ record, copy }: Props) {
  const { t } = useTranslation();
  const me = useMe();
  const again = useChange(adminApi.copyRecord);
  const remove = useRemoval(record, copy);
  const { status, targetId } = copy;
  const others = record.copies.filter((one) => one.status === "success" && one.targetId !== targetId);
  const isLeaving = status === "deleting" || status === "delete_failed";
  const isBroken = status === "failed" || status === "damaged";
  return (
    <Group gap={4} wrap="nowrap">
      {isBroken && others.length > 0 && record.engine === "archive" ? (
        <Button
          size="compact-xs"
          variant="default"
          loading={again.isPending}
          onClick={() =>
            again.mutate({ params: { id: String(record.id) }, body: { targetId } }, { onError: tell })
          }
        >
          {t("record.retryCopy")}
        </Button>
      ) : null}
      {status === "copying" ? (
        <Button size="compact-xs" variant="default" onClick={() => remove.ask("stop")}>
          {t("record.stopCopy")}
        </Button>
      ) : null}
      {isBroken || (status === "success" && others.length > 0) ? (
        <Button size="compact-xs" variant="default" onClick={() => remove.ask("remove")}>
          {t("record.removeCopy")}
        </Button>
      ) : null}
      {isLeaving ? (
        <Button size="compact-xs" variant="default" onClick={remove.tryAgain}>
          {t("record.tryAgain")}
        </Button>
      ) : null}
      {isLeaving && me.may("admin") ? (
        <Button size="compact-xs" variant="default" onClick={() => remove.ask("forget")}>
          {t("record.giveUp")}
        </Button>
      ) : null}
    </Group>
  );
}

const tell = ({ message }: { message: string }) => notifications.show({ color: "red", message });

function useRemoval(record: RecordDetail, { targetId, targetName }: Copy) {
  const { t } = useTranslation();
  const remove = useChange(adminApi.removeCopy, "/api/targets");
  const params = { id: String(record.id), targetId: String(targetId) };
  const words = {
    stop: [t("record.stopCopy"), t("record.stopCopyText", { target: targetName }), t("record.stopCopy")],
    remove: [
      t("record.removeCopyTitle"),
      t("record.removeCopyText", { target: targetName }),
      t("record.removeCopy"),
    ],
    forget: [t("record.giveUpTitle"), t("record.giveUpText"), t("record.giveUp")],
  } as const;
  return {
    tryAgain: () => remove.mutate({ params }, { onError: tell }),
    ask: (what: keyof typeof words) => {
      const [title, text, deed] = words[what];
      const query = { forget: what === "forget" ? ("true" as const) : ("false" as const) };
      confirm({ title, text, confirm: deed, danger: true, act: () => remove.mutateAsync({ params, query }) });
    },
  };
}
