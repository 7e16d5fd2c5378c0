import { ActionIcon, Button, Menu } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import {
  IconDotsVertical,
  IconLock,
  IconLockOpen,
  IconRotateClockwise,
  IconShieldCheck,
  IconTrash,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import { StopButton } from "../../components/stop-button.tsx";
import { isOpen } from "../../components/use-run.ts";
import { useMe } from "../../session.tsx";
import type { RecordDetail } from "./record-detail.ts";
import { VerifyDialog } from "./verify-dialog.tsx";

/** What may be done with a backup in the state that it is in. */
export function RecordActions({ record }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const [isVerifying, verifying] = useDisclosure();
  if (!me.may("operator") || record.deletedAt !== null) return null;
  if (isOpen(record)) return <Cancel id={record.id} />;
  return (
    <>
      {record.status === "success" ? (
        <>
          <Button
            component={Link}
            to={`/records/${record.id}/restore`}
            leftSection={<IconRotateClockwise size={16} aria-hidden />}
          >
            {t("record.restore")}
          </Button>
          <Button
            variant="default"
            leftSection={<IconShieldCheck size={16} aria-hidden />}
            onClick={verifying.open}
          >
            {t("record.verify")}
          </Button>
          <VerifyDialog record={record} opened={isVerifying} onClose={verifying.close} />
        </>
      ) : null}
      <More record={record} />
    </>
  );
}

function Cancel({ id }: { id: number }) {
  const { t } = useTranslation();
  const cancel = useChange(adminApi.cancelRecord);
  return (
    <StopButton
      title={t("record.cancelTitle")}
      text={t("record.cancelText")}
      stop={() => cancel.mutateAsync({ params: { id: String(id) } })}
    />
  );
}

function More({ record: { id, locked, differentials } }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const lock = useChange(adminApi.lockRecord);
  const remove = useChange(adminApi.deleteRecord);
  const params = { id: String(id) };
  const askToDelete = () =>
    confirm({
      title: t("record.deleteTitle"),
      text: differentials > 0 ? t("record.deleteNeeded", { count: differentials }) : t("record.deleteText"),
      confirm: t("common.delete"),
      danger: true,
      act: async () => {
        const { pendingCopies } = await remove.mutateAsync({ params });
        if (pendingCopies > 0) return;
        notifications.show({ message: t("record.deleted") });
        await navigate("/records");
      },
    });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="default" size={36} aria-label={t("record.more")}>
          <IconDotsVertical size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={locked ? <IconLockOpen size={16} aria-hidden /> : <IconLock size={16} aria-hidden />}
          onClick={() =>
            lock.mutate(
              { params, body: { locked: !locked } },
              { onError: ({ message }) => notifications.show({ color: "red", message }) },
            )
          }
        >
          {locked ? t("record.unlock") : t("record.lock")}
        </Menu.Item>
        <Menu.Item
          c="red"
          disabled={locked}
          leftSection={<IconTrash size={16} aria-hidden />}
          onClick={askToDelete}
        >
          {t("record.delete")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
