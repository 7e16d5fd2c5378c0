import { useSearchParams } from "react-router";

export type Filters = {
  get(name: string): string | null;
  set(name: string, value: string | null): void;
  any: boolean;
  /** All that are set, as a call takes them. */
  all: Record<string, string>;
  clear(): void;
};

/** What a list is narrowed to; it is kept in the page's address, so that it can be kept, sent and gone back to. */
export function useFilters(names: readonly string[]): Filters {
  const [params, setParams] = useSearchParams();
  const all = Object.fromEntries([...params].filter(([name, value]) => names.includes(name) && value !== ""));
  return {
    get: (name) => params.get(name),
    set: (name, value) =>
      setParams(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === null || value === "") after.delete(name);
          else after.set(name, value);
          return after;
        },
        { replace: true },
      ),
    any: Object.keys(all).length > 0,
    all,
    clear: () =>
      setParams((before) => new URLSearchParams([...before].filter(([name]) => !names.includes(name))), {
        replace: true,
      }),
  };
}
