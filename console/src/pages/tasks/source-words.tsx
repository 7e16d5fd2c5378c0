import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Task } from "./task.ts";

type Source = Task["source"];

/** What a task reads, in a line: its kind, and which paths, server or command. */
export function SourceWords({ source }: { source: Source }) {
  const { t } = useTranslation();
  const detail = detailOf(source);
  return (
    <div>
      {t(`sources.${source.type}`)}
      <Text size="xs" c="dimmed" className="long-name few-lines" title={detail}>
        {detail}
      </Text>
    </div>
  );
}

function detailOf(source: Source): string {
  if ("paths" in source) return shortList(source.paths);
  if (source.type === "command") return source.name;
  const server = source.port === null ? source.host : `${source.host}:${source.port}`;
  return source.databases.length > 0 ? `${server} · ${shortList(source.databases)}` : server;
}

const SHOWN = 2;

function shortList(names: readonly string[]): string {
  const rest = names.length - SHOWN;
  return names.slice(0, SHOWN).join(", ") + (rest > 0 ? ` +${rest}` : "");
}
