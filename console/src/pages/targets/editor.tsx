import { Anchor, SimpleGrid, Text, ThemeIcon, UnstyledButton } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import type { TargetType } from "../../../../protocol/states.ts";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Page } from "../../components/page.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { kinds } from "./kinds.ts";
import { TargetForm } from "./target-form.tsx";

/** A new target: first its kind, then its settings. */
export function NewTarget() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const type = search.get("kind");
  if (!type || !Object.hasOwn(kinds, type)) return <KindChoice />;
  const kind = kinds[type as TargetType];
  return (
    <Page
      title={t("targets.newTitle", { kind: t(kind.label) })}
      lead={
        <>
          {t(kind.lead)}{" "}
          <Anchor component={Link} to="/targets/new" inherit underline="always">
            {t("targets.otherKind")}
          </Anchor>
        </>
      }
    >
      <TargetForm
        type={type as TargetType}
        target={null}
        onSaved={({ id }) => navigate(`/targets/${id}`, { replace: true })}
      />
    </Page>
  );
}

function KindChoice() {
  const { t } = useTranslation();
  return (
    <Page title={t("targets.choose")} lead={t("targets.chooseLead")}>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
        {Object.entries(kinds).map(([type, { icon: Shape, label, lead }]) => (
          <UnstyledButton key={type} component={Link} to={`?kind=${type}`} className="choice-card">
            <ThemeIcon variant="light" size="lg">
              <Shape size={20} aria-hidden />
            </ThemeIcon>
            <div>
              <Text fw={600}>{t(label)}</Text>
              <Text size="sm" c="dimmed">
                {t(lead)}
              </Text>
            </div>
          </UnstyledButton>
        ))}
      </SimpleGrid>
    </Page>
  );
}

/** Changes a target's settings; its kind stays. */
export function EditTarget() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { id = "" } = useParams();
  const target = useAnswer(adminApi.getTarget, { params: { id } });
  if (target.isPending) return <Waiting />;
  if (!target.data) return <ErrorNotice error={target.error} retry={() => target.refetch()} />;
  const { name, type } = target.data;
  return (
    <Page title={t("targets.editTitle", { name })} lead={type === "vault" ? null : t("targets.movedHint")}>
      <TargetForm type={type} target={target.data} onSaved={() => navigate(`/targets/${id}`)} />
    </Page>
  );
}
