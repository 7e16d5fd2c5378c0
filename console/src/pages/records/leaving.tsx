import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useChange } from "../../api/queries.ts";
import { confirm } from "../../components/confirm.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { useMe } from "../../session.tsx";
import type { RecordDetail } from "./record-detail.ts";

/** A backup that is on its way out: what could not be reached, and what to do about it. */
export function Leaving({ record: { id } }: { record: RecordDetail }) {
  const { t } = useTranslation();
  const me = useMe();
  const navigate = useNavigate();
  const remove = useChange(adminApi.deleteRecord);
  const params = { id: String(id) };
  const again = async (forget: boolean) => {
    const { pendingCopies } = await remove.mutateAsync({
      params,
      query: { forget: forget ? "true" : "false" },
    });
    if (pendingCopies > 0) return;
    notifications.show({ message: t("record.deleted") });
    await navigate("/records");
  };
  const askToForget = () =>
    confirm({
      title: t("record.giveUpTitle"),
      text: t("record.giveUpText"),
      confirm: t("record.giveUp"),
      danger: true,
      act: () => again(true),
    });
  return (
    <Alert color="orange" icon={<IconTrash aria-hidden />} title={t("record.leavingTitle")}>
      <Stack gap="sm">
        <Text size="sm">{t("record.leavingText")}</Text>
        <ErrorNotice error={remove.error} />
        {me.may("operator") ? (
          <Group gap="sm">
            <Button
              size="xs"
              variant="default"
              loading={remove.isPending}
              onClick={() => again(false).catch(() => undefined)}
            >
              {t("record.tryAgain")}
            </Button>
            {me.may("admin") ? (
              <Button size="xs" variant="default" onClick={askToForget}>
                {t("record.giveUp")}
              </Button>
            ) : null}
          </Group>
        ) : null}
      </Stack>
    </Alert>
  );
}
