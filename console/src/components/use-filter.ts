import { useSearchParams } from "react-router";

export type Filtering<Name extends string> = {
  filter: { [K in Name]?: string };
  isFiltered: boolean;
  /** Empty or null takes a filter away. */
  set(changes: { [K in Name]?: string | null }): void;
  clear(): void;
};

/** What a list is narrowed to; it stands in the page's address, so that it can be kept and passed on. */
export function useFilter<Name extends string>(names: readonly Name[]): Filtering<Name> {
  const [search, setSearch] = useSearchParams();
  const filter: { [K in Name]?: string } = {};
  for (const name of names) {
    const value = search.get(name);
    if (value) filter[name] = value;
  }
  const change = (edit: (next: URLSearchParams) => void) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        edit(next);
        return next;
      },
      { replace: true },
    );
  return {
    filter,
    isFiltered: Object.keys(filter).length > 0,
    set: (changes) =>
      change((next) => {
        for (const [name, value] of Object.entries<string | null | undefined>(changes)) {
          if (value) next.set(name, value);
          else next.delete(name);
        }
      }),
    clear: () =>
      change((next) => {
        for (const name of names) next.delete(name);
      }),
  };
}
