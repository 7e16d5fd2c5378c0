import { Alert, Anchor, Button, Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { adminApi } from "../../api/admin-api.ts";
import type { ApiError } from "../../api/call.ts";
import { useAnswer, useChange } from "../../api/queries.ts";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Page } from "../../components/page.tsx";
import { Waiting } from "../../components/waiting.tsx";
import { useMe } from "../../session.tsx";
import { NotFound } from "../not-found.tsx";
import { BasicsSection } from "./editor/basics-section.tsx";
import { bodyOf } from "./editor/body.ts";
import { useAskBeforeClosing, useDraft } from "./editor/draft.ts";
import { errorsOf } from "./editor/errors.ts";
import { TaskFormProvider, useNewTaskForm } from "./editor/form.ts";
import { HooksSection } from "./editor/hooks-section.tsx";
import { LimitsSection } from "./editor/limits-section.tsx";
import { missingOf } from "./editor/missing.ts";
import { PackingSection } from "./editor/packing-section.tsx";
import { PlaceSection } from "./editor/place-section.tsx";
import { RetentionSection } from "./editor/retention-section.tsx";
import { SourceSection } from "./editor/source-section.tsx";
import { TargetsSection } from "./editor/targets-section.tsx";
import { newTask, type TaskValues, valuesOf } from "./editor/values.ts";
import { VerificationSection } from "./editor/verification-section.tsx";
import { WhenSection } from "./editor/when-section.tsx";
import type { TaskDetail } from "./task.ts";

/** A new task: blank, for the node in the address, or as another one is. */
export function NewTask() {
  return useMe().may("operator") ? <Blank /> : <NotFound />;
}

function Blank() {
  const { t } = useTranslation();
  const [search] = useSearchParams();
  const from = search.get("from");
  const nodeId = Number(search.get("node")) || null;
  const original = useAnswer(adminApi.getTask, { params: { id: from ?? "" } }, { enabled: from !== null });
  if (from !== null && original.isPending) return <Waiting />;
  const like = original.data;
  const values = like
    ? { ...valuesOf(like), name: t("taskEditor.copyOf", { name: like.name }).slice(0, 100) }
    : { ...newTask(), nodeId };
  return (
    <Page title={t("taskEditor.newTitle")} lead={t("taskEditor.newLead")}>
      <ErrorNotice error={original.error} />
      {like && like.secretsSet.length > 0 ? (
        <Alert color="blue">
          <Text size="sm">{t("taskEditor.secretsNotCopied")}</Text>
        </Alert>
      ) : null}
      <Editor key={from} task={null} initial={values} draft={`new ${from} ${nodeId}`} />
    </Page>
  );
}

/** Changes a task. */
export function EditTask() {
  return useMe().may("operator") ? <Known /> : <NotFound />;
}

function Known() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const task = useAnswer(adminApi.getTask, { params: { id } });
  if (task.isPending) return <Waiting />;
  return (
    <Page title={t("taskEditor.editTitle", { name: task.data?.name ?? id })}>
      {task.data ? (
        <Editor key={id} task={task.data} initial={valuesOf(task.data)} draft={`edit ${id}`} />
      ) : (
        <ErrorNotice error={task.error} retry={() => task.refetch()} />
      )}
    </Page>
  );
}

type Props = { task: TaskDetail | null; initial: TaskValues; draft: string };

function Editor({ task, initial, draft: draftName }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const draft = useDraft(draftName);
  const secretsSet = task?.secretsSet ?? [];
  // What others change meanwhile must not change what is being typed.
  const start = useRef({ initial, left: draft.left }).current;
  const form = useNewTaskForm({
    initialValues: start.initial,
    validate: (values) => missingOf(values, secretsSet, t),
  });
  const save = useSave(task?.id ?? null);
  const isSaved = useRef(false);
  const restore = useRef(() => start.left && form.setValues(start.left)).current;
  useEffect(() => void restore(), [restore]);
  const keep = useRef(() => {});
  keep.current = () => (isSaved.current ? draft.drop() : draft.keep(form));
  useEffect(() => () => keep.current(), []);
  useAskBeforeClosing(form.isDirty() && !isSaved.current);
  const submit = async (values: TaskValues) => {
    try {
      const saved = await save.mutateAsync(bodyOf(values));
      isSaved.current = true;
      notifications.show({ color: "green", message: t("taskEditor.saved", { name: saved.name }) });
      await navigate(`/tasks/${saved.id}`);
    } catch (error) {
      form.setErrors(errorsOf(error as ApiError, values));
      showFirstError();
    }
  };
  const taskId = task?.id ?? null;
  const isAtField = Object.keys(form.errors).length > 0;
  return (
    <TaskFormProvider form={form}>
      <form onSubmit={form.onSubmit(submit, showFirstError)} noValidate>
        <Stack gap="md">
          {start.left ? (
            <Restored
              discard={() => {
                draft.drop();
                form.setValues(start.initial);
              }}
            />
          ) : null}
          <BasicsSection />
          <PlaceSection />
          <SourceSection taskId={taskId} secretsSet={secretsSet} />
          <WhenSection />
          <TargetsSection />
          <PackingSection secretsSet={secretsSet} />
          <RetentionSection taskId={taskId} />
          <VerificationSection />
          <HooksSection />
          <LimitsSection />
          {isAtField ? (
            <Text c="red" size="sm" role="alert">
              {t("taskEditor.lookAbove")}
            </Text>
          ) : (
            <ErrorNotice error={save.error} />
          )}
          <Group justify="flex-end" className="form-end">
            <Button variant="default" component={Link} to={task ? `/tasks/${task.id}` : "/tasks"}>
              {t("common.cancel")}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {task ? t("common.save") : t("taskEditor.create")}
            </Button>
          </Group>
        </Stack>
      </form>
    </TaskFormProvider>
  );
}

function useSave(taskId: number | null) {
  const create = useChange(adminApi.createTask, "/api/task-tags");
  const update = useChange(adminApi.updateTask, "/api/task-tags");
  const { isPending, error } = taskId === null ? create : update;
  return {
    isPending,
    error,
    mutateAsync: (body: ReturnType<typeof bodyOf>) =>
      taskId === null
        ? create.mutateAsync({ body })
        : update.mutateAsync({ params: { id: String(taskId) }, body }),
  };
}

/** Once it is drawn: what is wrong may stand in a part that is still closed. */
function showFirstError(): void {
  setTimeout(() => {
    const field = document.querySelector<HTMLElement>(
      "form [aria-invalid='true'], form .mantine-Input-error",
    );
    field?.scrollIntoView({ block: "center" });
    field?.focus({ preventScroll: true });
  }, 100);
}

function Restored({ discard }: { discard(): void }) {
  const { t } = useTranslation();
  return (
    <Alert color="blue">
      <Text size="sm">
        {t("taskEditor.restored")}{" "}
        <Anchor component="button" type="button" size="sm" onClick={discard}>
          {t("taskEditor.discard")}
        </Anchor>
      </Text>
    </Alert>
  );
}
