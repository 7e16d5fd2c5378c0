import { createFormContext } from "@mantine/form";
import type { TaskValues } from "./values.ts";

/** The editor's form, for its sections; `useTaskForm` reads it. */
export const [TaskFormProvider, useTaskForm, useNewTaskForm] = createFormContext<TaskValues>();
