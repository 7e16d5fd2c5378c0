import { Anchor, Badge, Button, Code, Group, Paper, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { IconHistory, IconPencil, IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer, useChange, usePages } from "../../api/queries.ts";
import { formatBytes } from "../../components/bytes.tsx";
import { confirm } from "../../components/confirm.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Facts } from "../../components/facts.tsx";
import { Page } from "../../components/page.tsx";
import { PagedRows } from "../../components/rows.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { When } from "../../components/when.tsx";
import { useMe } from "../../session.tsx";
import { kinds } from "./kinds.ts";
import type { Target } from "./target.ts";
import { TestCard } from "./test-card.tsx";
import { Usage } from "./usage.tsx";

/** One storage target: its settings, what lies in it, whether it works, and who uses it. */
export function TargetPage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const me = useMe();
  const target = useAnswer(adminApi.getTarget, { params: { id } });
  if (target.isPending) return <Waiting />;
  if (!target.data) return <ErrorNotice error={target.error} retry={() => target.refetch()} />;
  const kind = kinds[target.data.type];
  return (
    <Page
      title={target.data.name}
      lead={`${t(kind.label)} · ${kind.place(target.data.config)}`}
      actions={me.may("admin") ? <Actions target={target.data} /> : null}
    >
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <SettingsCard target={target.data} />
        <TestCard target={target.data} />
      </SimpleGrid>
      <TasksOf id={target.data.id} />
    </Page>
  );
}

function Actions({ target: { id, name } }: { target: Target }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const remove = useChange(adminApi.deleteTarget);
  const ask = () =>
    confirm({
      title: t("targets.deleteTitle", { name }),
      text: t("targets.deleteText"),
      confirm: t("targets.deleteDo"),
      danger: true,
      act: async () => {
        await remove.mutateAsync({ params: { id: String(id) } });
        await navigate("/targets");
      },
    });
  return (
    <>
      <Button
        variant="subtle"
        component={Link}
        to={`/audit?entity=storage_target&entityId=${id}`}
        leftSection={<IconHistory size={16} aria-hidden />}
      >
        {t("targets.changes")}
      </Button>
      <Button
        variant="default"
        component={Link}
        to={`/targets/${id}/edit`}
        leftSection={<IconPencil size={16} aria-hidden />}
      >
        {t("targets.edit")}
      </Button>
      <Button variant="default" onClick={ask} leftSection={<IconTrash size={16} aria-hidden />}>
        {t("targets.deleteDo")}
      </Button>
    </>
  );
}

function SettingsCard({ target }: { target: Target }) {
  const { t, i18n } = useTranslation();
  const rate = target.bandwidthBytesPerSecond;
  const kind = kinds[target.type];
  const settings = Object.entries(kind.config).map(([name, field]) => ({
    label: t(field.label),
    value: shown(target.config[name]),
  }));
  const secrets = Object.entries(kind.secrets).map(([name, field]) => ({
    label: t(field.label),
    value: <IsSet isSet={target.secretsSet.includes(name)} />,
  }));
  return (
    <Paper withBorder p="lg">
      <Stack>
        <Title order={2} size="h5">
          {t("targets.settings")}
        </Title>
        <Facts
          items={[
            { label: t("targets.usage"), value: <Usage target={target} /> },
            {
              label: t("targets.bandwidth"),
              value: rate === null ? null : `${formatBytes(rate, i18n.language)}/s`,
            },
            ...settings,
            ...secrets,
            { label: t("targets.created"), value: <When at={target.createdAt} /> },
            { label: t("targets.changed"), value: <When at={target.updatedAt} /> },
          ]}
        />
      </Stack>
    </Paper>
  );
}

function shown(value: unknown): ReactNode {
  if (typeof value === "boolean") return value ? "✓" : "–";
  if (value === undefined || value === null || value === "") return null;
  return <Code className="long-name">{String(value)}</Code>;
}

function IsSet({ isSet }: { isSet: boolean }) {
  const { t } = useTranslation();
  return (
    <Text size="sm" {...(isSet ? {} : { c: "dimmed" })}>
      {isSet ? `•••••• ${t("targets.secretSet")}` : t("targets.secretNotSet")}
    </Text>
  );
}

function TasksOf({ id }: { id: number }) {
  const { t } = useTranslation();
  const pages = usePages(adminApi.listTasks, { targetId: id, limit: 20 });
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        {t("targets.tasks")}
      </Title>
      <PagedRows
        caption={t("targets.tasks")}
        columns={[
          {
            label: t("targets.task"),
            cell: (task) => (
              <Anchor component={Link} to={`/tasks/${task.id}`} size="sm" className="long-name">
                {task.name}
              </Anchor>
            ),
          },
          {
            label: t("targets.state"),
            cell: ({ enabled }) => (
              <Badge variant="light" color={enabled ? "green" : "gray"}>
                {enabled ? t("targets.enabled") : t("targets.paused")}
              </Badge>
            ),
          },
        ]}
        keyOf={(task) => task.id}
        pages={pages}
        empty={
          <Group>
            <Text size="sm" c="dimmed">
              {t("targets.noTasks")}
            </Text>
          </Group>
        }
      />
    </Stack>
  );
}
