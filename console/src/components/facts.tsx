import { Fragment, type ReactNode } from "react";

type Fact = { label: string; value: ReactNode };

/** What is known of something, as names and values; what has no value (null) is left out. */
export function Facts({ items }: { items: Fact[] }) {
  return (
    <dl className="facts">
      {items
        .filter(({ value }) => value !== null && value !== undefined)
        .map(({ label, value }) => (
          <Fragment key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </Fragment>
        ))}
    </dl>
  );
}
