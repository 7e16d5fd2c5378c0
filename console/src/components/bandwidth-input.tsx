import { NumberInput, type NumberInputProps } from "@mantine/core";

/** A cap in MiB per second, as `mib-per-second.ts` converts it. */
export function BandwidthInput(props: NumberInputProps) {
  return <NumberInput suffix=" MiB/s" min={0.01} decimalScale={2} {...props} />;
}
