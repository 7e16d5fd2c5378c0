import {
  type InfiniteData,
  QueryClient,
  type UseInfiniteQueryResult,
  type UseMutationResult,
  type UseQueryResult,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect } from "react";
import type { z } from "zod";
import type { Endpoint } from "../../../protocol/endpoint.ts";
import { ApiError, type CallInput, call } from "./call.ts";

type Reply<E extends Endpoint> = z.output<E["reply"]>;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // The socket of news sees to both, see shell/live/; that a browser believes to be offline is not asked about.
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      networkMode: "always",
      // What the master has refused it will refuse again; what could not be asked is asked again.
      retry: (failures, error) => error instanceof ApiError && error.code === "UNREACHABLE" && failures < 3,
    },
    mutations: { networkMode: "always" },
  },
});

/** Answers are kept by the path of their call, so that a change can renew all below a noun: `["/api/nodes"]`. */
const keyOf = (endpoint: Endpoint, input: unknown) => [nounOf(endpoint.path), endpoint.path, input];
const nounOf = (path: string) => path.split("/").slice(0, 3).join("/");

type Options = {
  enabled?: boolean;
  everyMs?: number;
  /** The answer costs an agent work: neither a look away and back nor a change on the master asks for it again. */
  fromAgent?: boolean;
};
const AGENT_ANSWER_FRESH_MS = 60_000;

/** Of signs of life there are no news: what shows when a node was last seen asks again this often. */
export const SIGNS_OF_LIFE_MS = 30_000;

/**
 * What a call answers, kept and shown again at once, and asked for again when news tell that it has changed. For what
 * moves without news, `everyMs` asks while the page is looked at, with `whileIt` only as long as the last answer was such.
 */
export function useAnswer<E extends Endpoint>(
  endpoint: E,
  input: CallInput<E>,
  {
    enabled = true,
    everyMs,
    fromAgent = false,
    whileIt,
  }: Options & { whileIt?(reply: Reply<E>): boolean } = {},
): UseQueryResult<Reply<E>, ApiError> {
  return useQuery<Reply<E>, ApiError>({
    queryKey: fromAgent ? ["from agents", ...keyOf(endpoint, input)] : keyOf(endpoint, input),
    queryFn: ({ signal }) => call(endpoint, { ...input, signal }),
    enabled,
    ...(fromAgent ? { staleTime: AGENT_ANSWER_FRESH_MS } : {}),
    ...(everyMs === undefined
      ? {}
      : {
          refetchInterval: ({ state }) => (whileIt && !(state.data && whileIt(state.data)) ? false : everyMs),
        }),
  });
}

type Page<Item> = { items: Item[]; next: number | null };
export type Paged<Item> = UseInfiniteQueryResult<InfiniteData<Page<Item>>, ApiError>;

/** A list that is paged by key; its pages are added one after the other. */
export function usePages<Item, E extends Endpoint<`/${string}`, z.ZodType, z.ZodType, z.ZodType<Page<Item>>>>(
  endpoint: E,
  query: z.input<E["query"]>,
  { enabled = true, everyMs }: Options = {},
): Paged<Reply<E>["items"][number]> {
  return useInfiniteQuery<
    Page<Item>,
    ApiError,
    InfiniteData<Page<Item>>,
    readonly unknown[],
    number | undefined
  >({
    queryKey: keyOf(endpoint, query),
    queryFn: ({ pageParam, signal }) =>
      call(endpoint, {
        query: { ...(query as object), before: pageParam },
        signal,
      } as unknown as CallInput<E>),
    initialPageParam: undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
    enabled,
    ...(everyMs === undefined ? {} : { refetchInterval: everyMs }),
  }) as Paged<Reply<E>["items"][number]>;
}

const FEW = 20;

/** The master looks for what no index knows in one part of a list at a time: parts that hold little are followed by more. */
export function useFilled(
  { hasNextPage, isFetching, isError, fetchNextPage }: Paged<unknown>,
  found: number,
): void {
  useEffect(() => {
    if (hasNextPage && !isFetching && !isError && found < FEW) void fetchNextPage();
  }, [hasNextPage, isFetching, isError, fetchNextPage, found]);
}

/** A change. When it is done, everything below the nouns named (`/api/nodes`) is asked for again. */
export function useChange<E extends Endpoint>(
  endpoint: E,
  ...alsoChanges: string[]
): UseMutationResult<Reply<E>, ApiError, CallInput<E>> {
  const client = useQueryClient();
  return useMutation<Reply<E>, ApiError, CallInput<E>>({
    mutationFn: (input) => call(endpoint, input),
    onSuccess: async () => {
      const nouns = [nounOf(endpoint.path), ...alsoChanges];
      await Promise.all(nouns.map((noun) => client.invalidateQueries({ queryKey: [noun] })));
    },
  });
}
