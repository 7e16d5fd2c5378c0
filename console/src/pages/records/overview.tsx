import { SimpleGrid, Stack } from "@mantine/core";
import { adminApi } from "../../api/admin-api.ts";
import { useAnswer } from "../../api/queries.ts";
import { RunProgress } from "../../components/run-progress.tsx";
import { isOpen } from "../../components/use-run.ts";
import { WarningList } from "../../components/warning-list.tsx";
import { Copies } from "./copies.tsx";
import { HowItEnded } from "./how-it-ended.tsx";
import { Leaving } from "./leaving.tsx";
import type { RecordDetail } from "./record-detail.ts";
import { ArchiveFacts, RunFacts } from "./record-facts.tsx";
import { VerificationFacts } from "./verification-facts.tsx";

/** How a backup goes or went, and what there is of it. */
export function Overview({ record }: { record: RecordDetail }) {
  const isMade = record.status === "success";
  return (
    <>
      {record.deletedAt === null ? null : <Leaving record={record} />}
      {isOpen(record) ? <LiveProgress record={record} /> : <HowItEnded record={record} />}
      <SimpleGrid cols={{ base: 1, md: isMade ? 2 : 1 }} spacing="lg">
        <Stack gap="lg">
          <RunFacts record={record} />
          {isMade ? <VerificationFacts record={record} /> : null}
        </Stack>
        {isMade ? <ArchiveFacts record={record} /> : null}
      </SimpleGrid>
      {isMade ? <Copies record={record} /> : null}
      <WarningList warnings={record.warnings} count={record.warningCount} />
    </>
  );
}

/** A backup does not know how much there is to read: the one before tells how much it was then. */
function LiveProgress({ record: { taskId, kind, progress, startedAt } }: { record: RecordDetail }) {
  const before = useAnswer(adminApi.listRecords, { query: { taskId, limit: 10 } });
  const last = before.data?.items.find((one) => one.status === "success" && one.kind === kind);
  const known = progress?.totalSourceBytes ?? null;
  return (
    <RunProgress
      progress={progress}
      startedAt={startedAt}
      done={progress?.sourceBytes ?? null}
      total={known ?? last?.sourceBytes ?? null}
      isEstimate={known === null}
    />
  );
}
