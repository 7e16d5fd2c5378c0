import { useSearchParams } from "react-router";

type Filters = {
  get(name: string): string | null;
  set(name: string, value: string | null): void;
  any: boolean;
};

/** What a list is narrowed to; it is kept in the page's address, so that it can be kept, sent and gone back to. */
export function useFilters(names: readonly string[]): Filters {
  const [params, setParams] = useSearchParams();
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
    any: names.some((name) => params.has(name)),
  };
}
