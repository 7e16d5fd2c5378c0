import { Alert, Anchor, Autocomplete, SegmentedControl, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { adminApi } from "../../../api/admin-api.ts";
import { usePages } from "../../../api/queries.ts";
import { NodeSelect } from "../../../components/node-select.tsx";
import { useTaskForm } from "./form.ts";
import { Section } from "./section.tsx";

/** Which server is backed up: one node, or whichever of a pool is free. */
export function PlaceSection() {
  const { t } = useTranslation();
  const form = useTaskForm();
  const nodes = usePages(adminApi.listNodes, { limit: 200 }).data?.pages[0]?.items;
  const labels = [...new Set(nodes?.flatMap((node) => node.labels))].sort();
  const { place } = form.values;
  return (
    <Section title={t("taskEditor.place")} text={t("taskEditor.placeText")}>
      {nodes?.length === 0 ? <NoNodes /> : null}
      <SegmentedControl
        w="fit-content"
        aria-label={t("taskEditor.place")}
        data={[
          { value: "node", label: t("taskEditor.oneNode") },
          { value: "pool", label: t("taskEditor.aPool") },
        ]}
        {...form.getInputProps("place")}
      />
      {place === "node" ? (
        <NodeSelect
          label={t("tasks.node")}
          required
          {...form.getInputProps("nodeId")}
          value={form.values.nodeId}
        />
      ) : (
        <Autocomplete
          label={t("taskEditor.poolLabel")}
          description={t("taskEditor.poolHint")}
          required
          data={labels}
          {...form.getInputProps("poolLabel")}
        />
      )}
    </Section>
  );
}

function NoNodes() {
  const { t } = useTranslation();
  return (
    <Alert color="blue">
      <Text size="sm">
        {t("taskEditor.noNodes")}{" "}
        <Anchor component={Link} to="/nodes" size="sm">
          {t("taskEditor.toNodes")}
        </Anchor>
      </Text>
    </Alert>
  );
}
