import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { type LogLine, useLive } from "../api/live.ts";

type Run = { status: string };

/** Whether a run still goes on. */
export const isOpen = ({ status }: Run): boolean => status === "queued" || status === "running";

/**
 * A run of which `known` is what was asked last: while it goes on it is shown as its stream tells it, with its log, and
 * when it ends all below `noun` is asked for again.
 */
export function useRun<State extends Run>(
  noun: string,
  id: number,
  known: State | undefined,
): { run: State | undefined; lines: LogLine[] } {
  const client = useQueryClient();
  const { state, lines } = useLive<Partial<State>>(known === undefined ? null : `${noun}/${id}/stream`);
  const status = state?.status;
  useEffect(() => {
    if (status !== undefined && status !== known?.status) void client.invalidateQueries({ queryKey: [noun] });
  }, [status, known?.status, client, noun]);
  const run = known && isOpen(known) ? { ...known, ...state } : known;
  return { run, lines };
}
