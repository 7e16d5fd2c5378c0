import type { TargetType } from "../../../../protocol/states.ts";
import { inBytes, inMiB } from "../../components/mib-per-second.ts";
import { type Field, kinds, type SecretField } from "./kinds.ts";
import type { Target } from "./target.ts";

export const quotaUnits = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
export type QuotaUnit = keyof typeof quotaUnits;

export type Values = {
  name: string;
  quota: { amount: number | ""; unit: QuotaUnit };
  bandwidthMiBPerSecond: number | "";
  config: Record<string, string | number | boolean>;
  secrets: Record<string, { value: string; remove: boolean }>;
};

/** What the form begins with: the target's own values, or those of a new one of this kind. */
export function valuesOf(type: TargetType, target: Target | null): Values {
  const { config, secrets } = kinds[type];
  return {
    name: target?.name ?? "",
    quota: quotaOf(target?.quotaBytes ?? null),
    bandwidthMiBPerSecond: inMiB(target?.bandwidthBytesPerSecond ?? null),
    config: mapValues(config, (field, name) => shownSetting(field, target?.config[name], target !== null)),
    secrets: mapValues(secrets, () => ({ value: "", remove: false })),
  };
}

/** The body of both calls, making and changing; null takes an optional setting or secret away. */
export function bodyOf(type: TargetType, values: Values, isNew: boolean) {
  const { name, quota, bandwidthMiBPerSecond, config, secrets } = values;
  const fields = kinds[type].secrets;
  const sent = Object.entries(secrets)
    .filter(([, { value, remove }]) => value !== "" || remove)
    .map(([key, { value }]) => [key, value === "" ? null : secretOf(fields[key], value)]);
  const settings = Object.entries(config)
    .filter(([, value]) => value !== "" || !isNew)
    .map(([key, value]) => [key, value === "" ? null : value]);
  return {
    name,
    config: Object.fromEntries(settings),
    secrets: Object.fromEntries(sent),
    quotaBytes: quota.amount === "" ? null : Math.round(quota.amount * quotaUnits[quota.unit]),
    bandwidthBytesPerSecond: inBytes(bandwidthMiBPerSecond),
  };
}

function shownSetting(field: Field, value: unknown, isThere: boolean): string | number | boolean {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return isThere ? "" : (field.initial ?? (field.input === "switch" ? false : ""));
}

/** In the largest unit that shows it whole. */
function quotaOf(bytes: number | null): Values["quota"] {
  if (bytes === null) return { amount: "", unit: "GiB" };
  const units = Object.entries(quotaUnits).reverse() as [QuotaUnit, number][];
  const [unit, size] = units.find(([, length]) => bytes % length === 0) ?? ["MiB", quotaUnits.MiB];
  return { amount: bytes / size, unit };
}

function secretOf(field: SecretField | undefined, value: string): string | Record<string, string> {
  if (field?.input !== "settings") return value;
  const lines = value.split("\n").filter((line) => line.includes("="));
  return Object.fromEntries(
    lines.map((line) => {
      const [key = "", ...rest] = line.split("=");
      return [key.trim(), rest.join("=").trim()];
    }),
  );
}

function mapValues<In, Out>(of: Record<string, In>, make: (value: In, name: string) => Out) {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, make(value, name)]));
}
