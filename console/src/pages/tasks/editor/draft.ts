import { useEffect } from "react";
import { useMe } from "../../../session.tsx";
import type { useNewTaskForm } from "./form.ts";
import type { TaskValues } from "./values.ts";

type Form = Pick<ReturnType<typeof useNewTaskForm>, "isDirty" | "getValues">;

/** What was typed and not yet saved, while this page is open: a session that ends, or a wrong click, loses none of it. */
const drafts = new Map<string, TaskValues>();

/** What is left of an earlier visit to this form by the same person. Secrets are not kept. */
export function useDraft(name: string): { left: TaskValues | null; keep(form: Form): void; drop(): void } {
  const me = useMe();
  const key = `${me.name} ${name}`;
  return {
    left: drafts.get(key) ?? null,
    keep: (form) => {
      if (!form.isDirty()) return;
      const blank = { value: "", remove: false };
      drafts.set(key, { ...form.getValues(), password: blank, resticPassword: blank });
    },
    drop: () => drafts.delete(key),
  };
}

/** Lets the browser ask before a page with something unsaved is closed. */
export function useAskBeforeClosing(isDirty: boolean): void {
  useEffect(() => {
    if (!isDirty) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [isDirty]);
}
